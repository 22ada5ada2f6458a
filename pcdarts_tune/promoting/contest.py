"""The trainings of a promotion, one after another with the same recipe; those that are done are not done again.

contest = Contest(sweep, space, images, seeds=(0, 1, 2), device=device, store=store, run=run)
standings = contest.train(contestants)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.execution import DEFAULTS, Execution
from pcdarts_tune.locks import FileLock
from pcdarts_tune.promoting.comparison import Trained
from pcdarts_tune.promoting.contestants import Contestant, candidate, own_trial
from pcdarts_tune.promoting.rounds import Rounds, searched_contestant
from pcdarts_tune.recording.epoch_run import Tracked
from pcdarts_tune.recording.promotion_run import PromotionRun, lineage_tags
from pcdarts_tune.retraining import Retraining
from pcdarts_tune.study import derived_seed
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.distributed.fitting import Workers
    from pcdarts_tune.sweep import SweepHandle
    from pcdarts_tune.tracking import MlflowStore


@dataclass(frozen=True)
class Contest(Rounds):
    """Trains genotypes for a promotion.

    Attributes:
        run: what the trainings are nested under; None where there is one alone.
    """

    sweep: SweepHandle
    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    device: torch.device
    store: MlflowStore
    run: PromotionRun | None = None
    quiet: bool = False
    execution: Execution = DEFAULTS
    groups: int = 1
    workers: Workers | None = None

    @property
    def _folder(self) -> Path:
        return self.sweep.folder.path / "promotions"

    def place(self, work: Retraining) -> Path:
        """The folder of one training."""
        return self._folder / f"{work.genotype.canonical_hash()}-{work.recipe}"

    def places(self, each: Contestant, work: Retraining) -> tuple[Path, Path]:
        place = self.place(work)
        return place / "model", place / "checkpoint"

    def origin(self, each: Contestant) -> Mapping[str, Any]:
        return {"sweep": self.sweep.name, "trial": each.trial, "trial_run": each.run_id}

    def _train(self, each: Contestant, work: Retraining) -> Trained:
        place = self.place(work)
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(
            place / "lock",
            f"{each.name} is already being trained with seed {work.seed}, by {{holder}}",
            "wait for it: promote then takes its result",
        ):
            trained = super()._train(each, work)
        if self.run is not None and trained.done is not None and trained.done.run_id is not None:
            self.run.adopt(trained.done.run_id)
        return trained

    def default_contestant(self) -> Contestant:
        """The genotype of the space's own hyperparameters: that of the trial which ran with them, as the first trial of
        a sweep does, or else of one search that is run now, with the seed such a trial would have had."""
        if (record := own_trial(self.sweep)) is not None:
            if not self.quiet:
                say(
                    f"baseline default: the genotype of trial {record.trial}, which ran with the space's own values"
                )
            return replace(candidate(record), name="default", kind="default")
        return searched_contestant(
            self.sweep.space,
            self.images,
            derived_seed(self.sweep.settings.seed, "trial", 0),
            self._folder,
            device=self.device,
            execution=self.sweep.settings.execution,
            tracked=Tracked(
                self.store,
                self.sweep.experiment,
                f"{self.sweep.name} search with the space's own values",
                {**lineage_tags(self.sweep), "pcdarts.baseline": "default"},
                None if self.run is None else self.run.run_id,
            ),
            quiet=self.quiet,
        )

    def tracked(self, each: Contestant, seed: int) -> Tracked:
        sweep = self.sweep
        tags = lineage_tags(sweep)
        if each.kind == "candidate":
            name = f"{sweep.name} t{each.trial:02d} retraining"
        else:
            name = f"{sweep.name} {each.name} retraining"
            tags["pcdarts.baseline"] = each.name
        if each.trial is not None:
            tags["pcdarts.trial"] = str(each.trial)
        if each.run_id is not None:
            tags["pcdarts.trial_run" if each.trial is not None else "pcdarts.search_run"] = each.run_id
        if len(self.seeds) > 1:
            name += f" seed {seed}"
        parent = None if self.run is None else self.run.run_id
        return Tracked(self.store, sweep.experiment, name, tags, parent)
