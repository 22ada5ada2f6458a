"""Mean, spread and interval of a few trainings' accuracies, and what can be told from them.

>>> Spread((0.971, 0.968, 0.974))
0.9710 (std 0.0030, 95 % interval 0.9635 to 0.9785, n=3)

The interval is Student's t interval of the mean over training seeds, alike for all genotypes. Two genotypes are told
apart only where their intervals do not meet, which is stricter than a t test at 5 %: with few seeds the safe side.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

LEVEL = 0.95
"""The confidence level of intervals."""


def wilson(hits: int, count: int) -> tuple[float, float] | None:
    """The 95 % interval of a share of `hits` in `count` (E. B. Wilson, JASA 1927, 22:209); None of no count."""
    if not count:
        return None
    from scipy.special import ndtri

    z, share = float(ndtri((1 + LEVEL) / 2)), hits / count
    middle, scale = share + z * z / (2 * count), 1 + z * z / count
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True)
class Spread:
    """Accuracies in [0, 1], or other scores, of one genotype or setting, one a seed; those that diverged are left out."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean; NaN of no value."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float | None:
        """The standard deviation of the sample (n - 1); None below two values."""
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean, cut at 0 and 1 where all values lie between them; None below two values."""
        if self.std is None:
            return None
        from scipy.special import stdtrit

        half = float(stdtrit(self.n - 1, (1 + LEVEL) / 2)) * self.std / math.sqrt(self.n)
        low, high = self.mean - half, self.mean + half
        shares = all(0 <= value <= 1 for value in self.values)
        return (max(0.0, low), min(1.0, high)) if shares else (low, high)

    def overlaps(self, other: Spread) -> bool:
        """Whether the two cannot be told apart: the intervals overlap, or one of them is not known."""
        mine, its = self.interval, other.interval
        return mine is None or its is None or (mine[0] <= its[1] and its[0] <= mine[1])

    def to_dict(self) -> dict[str, Any]:
        return {
            "mean": self.mean if self.values else None,
            "std": self.std,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "values": list(self.values),
        }

    def __repr__(self) -> str:
        if self.std is None or self.interval is None:
            return f"{self.mean:.4f} (n={self.n})" if self.values else "none (n=0)"
        low, high = self.interval
        return f"{self.mean:.4f} (std {self.std:.4f}, 95 % interval {low:.4f} to {high:.4f}, n={self.n})"
