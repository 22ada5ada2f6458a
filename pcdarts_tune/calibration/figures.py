"""How well one number for each cell ranks them: the figures of a score after an epoch, or of a cell's size.

figures = score_figures(Ranking(truth), scores)         # (n,), (seeds, n)
describe_agreement(figures.spearman, n)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pcdarts_tune.calibration.agreement import Array, Estimate, Noise, Ranking, average, measure_noise


@dataclass(frozen=True)
class Figures:
    """How well one number for each cell ranks them; see `Ranking` for the estimates.

    Attributes:
        epoch: after so many epochs, from 1; None for what needs none.
        regret: by the size of the subsets. `chance`: the regret of a choice at random.
        spread: standard deviation of the score over cells. `standard_error`: of one score, by the scored images; None where
            it is not known.
        noise: None with one seed.
        all_seeds: Spearman of the mean over all seeds; None where that is the score itself.
    """

    epoch: int | None
    spearman: Estimate
    kendall: Estimate
    better_of_two: Estimate
    regret: Mapping[int, Estimate]
    chance: Mapping[int, float]
    spread: float
    standard_error: float | None = None
    noise: Noise | None = None
    all_seeds: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "spearman": self.spearman.to_dict(),
            "kendall": self.kendall.to_dict(),
            "better_of_two": self.better_of_two.to_dict(),
            "regret": {
                str(size): {**each.to_dict(), "chance": self.chance[size]}
                for size, each in self.regret.items()
            },
            "spread": self.spread,
            "standard_error": self.standard_error,
            "noise": None if self.noise is None else self.noise.to_dict(),
            "all_seeds": None if self.all_seeds is None else self.all_seeds.to_dict(),
        }


def score_figures(
    ranking: Ranking,
    scores_SN: Array,
    together: int = 1,
    epoch: int | None = None,
    standard_error: float | None = None,
) -> Figures:
    """The figures of one score of each cell by each of S seeds.

    Args:
        together: how many seeds' mean is one score; what is left over counts for `noise` and `all_seeds` alone.
    """
    seeds = len(scores_SN)
    groups = [scores_SN[at : at + together].mean(0) for at in range(0, seeds - together + 1, together)]
    regrets = [ranking.regret(each) for each in groups]
    return Figures(
        epoch,
        average([ranking.spearman(each) for each in groups]),
        average([ranking.kendall(each) for each in groups]),
        average([ranking.better_of_two(each) for each in groups]),
        {size: average([each[size] for each in regrets]) for size in ranking.best_of},
        {size: ranking.chance_regret(size) for size in ranking.best_of},
        float(np.mean([each.std(ddof=1) for each in groups])),
        standard_error,
        measure_noise(scores_SN),
        ranking.spearman(scores_SN.mean(0)) if seeds > together else None,
    )


def describe_agreement(spearman: Estimate, n: int) -> str:
    """Spearman with its interval, and what may be said of it."""
    if math.isnan(spearman.value):
        return f"all are equal, so nothing is ranked (n={n})"
    if spearman.interval is None:
        return f"Spearman {spearman.value:.2f}, n={n}: so few cells say nothing"
    low, high = spearman.interval
    verdict = "ranks better than chance" if low > 0 else "is not shown to rank better than chance"
    return f"Spearman {spearman.value:.2f} (95 % {low:.2f} to {high:.2f}, n={n}): it {verdict}"
