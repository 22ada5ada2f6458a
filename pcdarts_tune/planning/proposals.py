"""What a sweep would propose, drawn from a study in memory as the sweep's own would draw it.

draw(space, settings, trials=32)[0].hyperparameters
sizes(space)        # the ends of what decides a step's memory: [{"supernet.k": 1, "search.batch_size": 64}, ...]
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from pcdarts_tune.configuration.ranges import assignments, varied

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.study import Proposal
    from pcdarts_tune.sweep import SweepSettings

MOST_DRAWN = 64
"""Proposals drawn at the most; what more trials cost is scaled from these."""
MOST_SIZES = 24


def draw(space: Space, settings: SweepSettings, trials: int) -> list[Proposal]:
    """The first proposals of a sweep of so many trials.

    Exact for those that do not depend on results: the space's own values, a grid, and random draws. A sampler that
    learns proposes something else once enough trials have ended; its later proposals stand here as random ones.
    """
    from pcdarts_tune.study import SweepStudy
    from pcdarts_tune.sweep import study_settings

    study = SweepStudy.unsaved(**study_settings(space, settings))
    return [study.ask(trials) for _ in range(min(trials, MOST_DRAWN))]


def sizes(space: Space) -> list[dict[str, Any]]:
    """Every combination of the ends of the ranges that decide how large a step is; one empty one where none does."""
    keys = [key for key in varied(space.tune) if decides_size(key)]
    return list(islice(assignments(space.tune, keys, every=False), MOST_SIZES))


def decides_size(key: str) -> bool:
    """Whether a step's time and memory hang on this key."""
    from pcdarts_tune.planning.networks import SCHEDULE

    return key == "search.batch_size" or key.removeprefix("search.") not in SCHEDULE
