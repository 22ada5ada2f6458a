"""How well scores rank cells whose true accuracies are known, with bootstrap intervals over the cells.

    ranking = Ranking(truth)                    # (n,)
    ranking.spearman(scores).value              # -1 to 1

Intervals are 95 % percentile intervals of 2,000 resamples of the cells (Efron 1979), drawn once, so that two scores of the same
cells are compared on the same resamples. All pairs are counted by matrix products: W holds how often a resample (row) has a
cell (column).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES = 2000
FEWEST = 5
"""Cells below which there is no interval: resamples of so few say nothing."""


@dataclass(frozen=True)
class Estimate:
    """A figure over the cells.

    Attributes:
        value: NaN where there is none, as of a correlation with scores that are all equal.
        samples: its values over the resamples, (B,); empty with too few cells.
    """

    value: float
    samples: Array

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval; None where it cannot be told."""
        return percentile_interval(self.samples)

    def to_dict(self) -> dict[str, Any]:
        """`value` and `interval`, None where there is none."""
        value = None if math.isnan(self.value) else self.value
        return {"value": value, "interval": None if self.interval is None else list(self.interval)}


def percentile_interval(samples: Array) -> tuple[float, float] | None:
    """The 2.5 % and 97.5 % quantiles of what is finite; None where more than half is not."""
    finite = samples[np.isfinite(samples)]
    if len(finite) < max(1, len(samples) / 2):
        return None
    low, high = np.quantile(finite, (0.025, 0.975))
    return float(low), float(high)


class Ranking:
    """Cells with their true accuracies, and resamples of them.

    Args:
        truth: (n,), high is good.
        seed: of the resamples. `resamples`: how many.
    """

    def __init__(self, truth: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> None:
        self.truth, self.n = np.asarray(truth, dtype=float), len(truth)
        drawn = resamples if self.n >= FEWEST else 0
        self.index_BN = np.random.default_rng(seed).integers(0, self.n, (drawn, self.n))
        """The cells of each resample; the last row of what is computed is the cells themselves."""
        rows = np.repeat(np.arange(drawn), self.n)
        counts = np.bincount(rows * self.n + self.index_BN.ravel(), minlength=drawn * self.n)
        self.weights_BN = np.vstack([counts.reshape(drawn, self.n), np.ones((1, self.n))]).astype(np.float32)
        self._truth_ranks_BN = self._ranks(self.truth)
        self._truth_signs_NN = _signs(self.truth)
        self._truth_pairs_B = self._pairs(np.abs(self._truth_signs_NN))
        self._truths_BN = self.truth[self.index_BN]
        self._sorted_truths_BN = np.sort(self._truths_BN, axis=1)

    def spearman(self, scores: Array) -> Estimate:
        """Spearman's rank correlation: Pearson's of the ranks, ties at their mean rank."""
        weights, ranks, truths = self.weights_BN, self._ranks(scores), self._truth_ranks_BN
        middle = (self.n + 1) / 2
        mine, its = ranks - middle, truths - middle
        with np.errstate(invalid="ignore", divide="ignore"):
            norm = np.sqrt((weights * mine**2).sum(1) * (weights * its**2).sum(1))
            return _estimate((weights * mine * its).sum(1) / norm)

    def kendall(self, scores: Array) -> Estimate:
        """Kendall's tau-b: concordant minus discordant pairs, over the geometric mean of those not tied in each."""
        signs = _signs(scores)
        agreement, untied = self._pairs(signs * self._truth_signs_NN), self._pairs(np.abs(signs))
        with np.errstate(invalid="ignore", divide="ignore"):
            return _estimate(agreement / np.sqrt(untied * self._truth_pairs_B))

    def better_of_two(self, scores: Array) -> Estimate:
        """The chance that of two cells which differ in truth the better one scores better; ties in score count half."""
        agreement = self._pairs(_signs(scores) * self._truth_signs_NN)
        with np.errstate(invalid="ignore", divide="ignore"):
            return _estimate(0.5 + 0.5 * agreement / self._truth_pairs_B)

    def regret(self, scores: Array) -> dict[int, Estimate]:
        """How far the true accuracy of the cell with the best score lies below the best true accuracy, expected over all
        subsets of 4, 8, 16, … different cells (among equal scores each is taken alike often)."""
        # a resample comes in random order, which a stable sort keeps among equals
        chosen_BN = np.argsort(np.asarray(scores)[self.index_BN], axis=1, kind="stable")
        lost_BN = self._sorted_truths_BN - np.take_along_axis(self._truths_BN, chosen_BN, axis=1)
        lost_N = np.sort(self.truth) - _by_score(scores, self.truth)
        found = {}
        for size in self.best_of:
            weights = best_weights(self.n, size)
            found[size] = Estimate(float(lost_N @ weights), lost_BN @ weights)
        return found

    def chance_regret(self, best_of: int) -> float:
        """The regret of taking any of `best_of` cells."""
        return float(best_weights(self.n, best_of) @ np.sort(self.truth) - self.truth.mean())

    def _ranks(self, values: Array) -> Array:
        """The mean rank of each cell within each resample, (B + 1, n)."""
        values = np.asarray(values, dtype=float)
        below_NN = (values[None, :] < values[:, None]) + 0.5 * (values[None, :] == values[:, None])
        ranks: Array = self.weights_BN @ below_NN.T.astype(np.float32) + np.float32(0.5)
        return ranks

    def _pairs(self, table_NN: Array) -> Array:
        """The sum of a table over all ordered pairs of each resample, (B + 1,)."""
        sums: Array = np.einsum("bn,bn->b", self.weights_BN @ table_NN.astype(np.float32), self.weights_BN)
        return sums

    @cached_property
    def best_of(self) -> tuple[int, ...]:
        """The sizes of the subsets that regret is given for: 4, 8, 16, … up to all cells."""
        return tuple(size for size in (2**power for power in range(2, 12)) if size <= self.n)


def _estimate(samples_B: Array) -> Estimate:
    """From values over the resamples and, last, the cells themselves."""
    samples = np.asarray(samples_B, dtype=float)
    return Estimate(float(samples[-1]), samples[:-1])


def _signs(values: Array) -> Array:
    values = np.asarray(values, dtype=float)
    signs: Array = np.sign(values[:, None] - values[None, :])
    return signs


def _by_score(scores: Array, truth: Array) -> Array:
    """True accuracies in the order of rising scores; equal scores share their mean."""
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=truth) / counts
    ordered: Array = np.repeat(means, counts)
    return ordered


def best_weights(cells: int, best_of: int) -> Array:
    """The chance that the r-th lowest of `cells` values (r = 1, …) is the highest of `best_of` that are drawn without
    replacement: C(r - 1, best_of - 1) / C(cells, best_of)."""
    weights = np.zeros(cells)
    weights[-1] = best_of / cells
    for rank in range(cells, best_of, -1):
        weights[rank - 2] = weights[rank - 1] * (rank - best_of) / (rank - 1)
    return weights


def average(estimates: list[Estimate]) -> Estimate:
    """The mean of figures over the same resamples."""
    values = float(np.mean([each.value for each in estimates]))
    return Estimate(values, np.mean([each.samples for each in estimates], axis=0))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """`first - second`, paired over the same resamples."""
    return Estimate(first.value - second.value, first.samples - second.samples)


@dataclass(frozen=True)
class Noise:
    """Where a score's variance comes from: one-way random-effects analysis of variance, cells as groups, training seeds as
    repetitions (Searle, Casella & McCulloch 1992, ch. 3).

    Attributes:
        share: of the variance of a single training's score, the part that comes from the seed.
        standard_error: of a single training's score: the standard deviation over seeds, within cells.
        cells_std: standard deviation of the cells' own scores, the seeds' part taken off.
        seeds: trainings of each cell.
    """

    share: float
    standard_error: float
    cells_std: float
    seeds: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "share": None if math.isnan(self.share) else self.share,
            "standard_error": self.standard_error,
            "cells_std": self.cells_std,
            "seeds": self.seeds,
        }


def measure_noise(scores_SN: Array) -> Noise | None:
    """The noise in scores of n cells by S seeds; None with one seed or one cell."""
    seeds, cells = scores_SN.shape
    if seeds < 2 or cells < 2:
        return None
    within = float(scores_SN.var(axis=0, ddof=1).mean())
    between = float(scores_SN.mean(axis=0).var(ddof=1))
    own = max(0.0, between - within / seeds)
    total = own + within
    return Noise(within / total if total else math.nan, math.sqrt(within), math.sqrt(own), seeds)
