"""Sweeps as `sweep` leaves them, but for the trials' own work: a real study, a real MLflow store, outcomes as given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.datasets.dataset import DataSet
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.sweeps.sweep import SweepHandle, study_settings
from pcdarts_tune.sweeps.tracker import tracker_of
from pcdarts_tune.tasks import Outcome

SMALL = (
    "retrain.channels=4",
    "retrain.layers=3",
    "retrain.epochs=2",
    "retrain.drop_path=0.0",
)
DARTS, PC_DARTS = (PUBLISHED[name].to_dict() for name in ("DARTS_V2", "PC_DARTS_cifar"))
FOUND = (
    Outcome("complete", objective=0.7, genotype=DARTS, genotype_hash="a", params=1, macs=1),
    Outcome("complete", objective=0.9, genotype=PC_DARTS, genotype_hash="b", params=1, macs=1),
    Outcome("failed", reason="out of memory"),
)


def make_sweep(
    home: Path,
    name: str,
    outcomes: Sequence[Outcome],
    settings: Sequence[str] = SMALL,
    *,
    space: str = "quickstart",
    tracked: bool = True,
) -> SweepHandle:
    """A sweep of the digits; its first trial ran with the space's own values, as always. Without `tracked` MLflow, which
    takes seconds to make its store, knows nothing of it."""
    resolved = override(load_space(space), settings)
    return record_sweep(home, name, outcomes, resolved, load_dataset(resolved.data), tracked=tracked)


def record_sweep(
    home: Path,
    name: str,
    outcomes: Sequence[Outcome],
    space: Space,
    images: DataSet,
    settings: SweepSettings | None = None,
    *,
    tracked: bool = True,
) -> SweepHandle:
    """A sweep of any space over any images."""
    about = {"name": images.name, "digest": images.digest, "source": images.source, "profile": ""}
    sweep = create_sweep(home, name, space, settings or SweepSettings(), trials=len(outcomes), data=about)
    # made in memory, and drawn at random, many trials are there soon
    drawn = study_settings(space, SweepSettings(sampler="random"))
    study = sweep.study if tracked else SweepStudy.unsaved(**drawn)
    tracker = tracker_of(sweep) if tracked else None
    if tracker is not None:
        tracker.open()
    for number, outcome in enumerate(outcomes):
        proposal = study.ask(len(outcomes))
        study.start(number)
        if tracker is not None:
            tracker.trial(proposal)
        study.tell(number, outcome)
        if tracker is not None:
            tracker.ended(number, outcome)
    if tracker is None:
        sweep.study._study.add_trials(study._study.get_trials())
    assert tracker is None or tracker.close("FINISHED", "a summary") == 0
    return sweep
