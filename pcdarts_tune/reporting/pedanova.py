"""PED-ANOVA (Watanabe et al., IJCAI 2023, arXiv 2304.10255), written for a report: equal to Optuna's
`PedAnovaImportanceEvaluator`, whose package takes seconds to import, and many times as fast.

A setting's values lie on a grid. Their density is estimated among the best trials and among all of them (Parzen, Scott's
bandwidth, one kernel for the prior); how far the two are apart is the setting's importance for being among the best:

    D = sum_x p_all(x) (p_best(x) / p_all(x) - 1)^2

>>> divergence(grid.cells(best_values), grid.cells(all_values), grid)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.spaces.ranges import CategoricalRange, ConditionalRange, FloatRange, IntRange, Range
from pcdarts_tune.spaces.values import label

if TYPE_CHECKING:
    import numpy as np

STEPS = 50
"""Cells of the grid of a number that can be anything."""
_SMALLEST = 0.5 / 1.64  # bandwidth in cells: 90 % of a kernel in its own cell


@dataclass(frozen=True)
class Grid:
    """The cells that a setting's values fall into: those of `choices`, or `size` even ones from `low` to `high`."""

    size: int
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, item: Range, seen: Sequence[Any]) -> Grid:
        """The grid of a range; of ranges that hang on another setting, of all of them together."""
        parts = list(item.ranges.values()) if isinstance(item, ConditionalRange) else [item]
        numbers = [part for part in parts if isinstance(part, FloatRange | IntRange)]
        if len(numbers) < len(parts):
            given = [value for part in parts if isinstance(part, CategoricalRange) for value in part.choices]
            names = tuple(dict.fromkeys(label(value) for value in [*given, *seen]))
            return cls(len(names), choices=names)
        low, high = min(part.low for part in numbers), max(part.high for part in numbers)
        log, whole = all(part.log for part in numbers), all(isinstance(part, IntRange) for part in numbers)
        size = STEPS
        if whole:
            cells = int(high - low) + 1
            size = min(STEPS, math.ceil(math.log2(cells)) + 1 if log else cells)
        return cls(max(2, size), low, high, log)

    def cells(self, values: Sequence[Any]) -> list[int]:
        """The cell of each value."""
        if self.choices:
            return [self.choices.index(label(value)) for value in values]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        width = (high - low) / (self.size - 1)
        places = [((math.log(value) if self.log else value) - low) / width for value in values]
        return [min(max(math.ceil(place - 0.5), 0), self.size - 1) for place in places]


def divergence(best: Sequence[int], among: Sequence[int], grid: Grid) -> float:
    """How far the cells of the best trials are from those of all; 0 where they are distributed alike."""
    p_best, p_all = density(best, grid), density(among, grid)
    return float(p_all @ ((p_best / p_all - 1) ** 2))


def density(cells: Sequence[int], grid: Grid) -> np.ndarray[Any, Any]:
    """The estimated probability of each cell of the grid."""
    import numpy as np

    counts = np.bincount(cells, minlength=grid.size)
    at = np.flatnonzero(counts)
    weights = np.append(counts[at], 1.0) / (len(cells) + 1.0)  # the last for the prior
    kernels = _choice_kernels(at, grid.size) if grid.choices else _number_kernels(at, counts[at], grid.size)
    return np.asarray(weights @ kernels + 1e-12)


def _choice_kernels(at: Any, size: int) -> Any:
    """One row a choice that occurs, and one for the prior; columns are all choices."""
    import numpy as np

    kernels = np.full((len(at) + 1, size), 1.0 / (len(at) + 1))
    kernels[np.arange(len(at)), at] += 1
    return kernels / kernels.sum(axis=1, keepdims=True)


def _number_kernels(at: Any, counts: Any, size: int) -> Any:
    """Normal distributions over the cells, cut off at both ends of the grid."""
    import numpy as np

    total, running = counts.sum(), np.cumsum(counts)
    mean = (at @ counts) / total
    sigma = math.sqrt(((at - mean) ** 2 @ counts) / max(1, total - 1))
    lower = np.searchsorted(running, total // 4, side="left")
    upper = min(len(at) - 1, int(np.searchsorted(running, total * 3 // 4, side="right")))
    sigma = 1.059 * min((at[upper] - at[lower]) / 1.34, sigma) * total**-0.2
    centres = np.append(at, (size - 1) / 2)
    widths = np.append(np.full(len(at), max(sigma, _SMALLEST)), float(size))
    edges = np.arange(size + 1) - 0.5
    below = _normal((edges[None, :] - centres[:, None]) / widths[:, None])
    return np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])


def _normal(x: Any) -> Any:
    """The standard normal distribution function."""
    import numpy as np

    return 0.5 * (1 + np.asarray(np.frompyfunc(math.erf, 1, 1)(x / math.sqrt(2)), dtype=float))
