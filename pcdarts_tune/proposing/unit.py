"""A range as the unit interval, both ways: what samplers that think in [0, 1] draw from.

    value(0.5, FloatDistribution(1e-4, 1e-2, log=True))     # 0.001
    unit(0.001, FloatDistribution(1e-4, 1e-2, log=True))    # 0.5

Each value of an int, stepped or categorical range has an equal share of the interval; `unit` gives the middle of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ALMOST_ONE = math.nextafter(1.0, 0.0)


def value(at: float, distribution: BaseDistribution) -> Any:
    """The value of `distribution` at `at`, 0 <= at <= 1 (clipped)."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    at = min(max(at, 0.0), ALMOST_ONE)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(at * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            return min(
                high, max(low, round(math.exp(_between(at, math.log(low - 0.5), math.log(high + 0.5)))))
            )
        return low + distribution.step * int(at * _count(distribution))
    if step is not None:
        return min(high, low + step * int(at * _count(distribution)))
    if distribution.log:
        return min(high, max(low, math.exp(_between(at, math.log(low), math.log(high)))))
    return _between(at, low, high)


def unit(known: Any, distribution: BaseDistribution) -> float:
    """Where in [0, 1] a value of `distribution` lies."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return (distribution.choices.index(known) + 0.5) / len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if isinstance(distribution, IntDistribution) and distribution.log:
        low, high = low - 0.5, high + 0.5
    elif isinstance(distribution, IntDistribution) or distribution.step is not None:
        assert distribution.step is not None
        return (round(float(known - low) / distribution.step) + 0.5) / _count(distribution)
    if distribution.log:
        return (math.log(known) - math.log(low)) / (math.log(high) - math.log(low))
    return float(known - low) / (high - low)


def _between(at: float, low: float, high: float) -> float:
    return low + at * (high - low)


def _count(distribution: Any) -> int:
    """How many values a stepped range has."""
    return round(float(distribution.high - distribution.low) / float(distribution.step)) + 1
