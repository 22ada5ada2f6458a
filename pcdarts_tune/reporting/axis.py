"""The axes of a chart: linear, logarithmic or of categories; where values stand, and ticks that do not touch.

axis = Axis.of([0.01, 0.3], "learning rate", log=True)
axis.at(0.1), axis.ticks(width=300)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.drawing.geometry import text_width
from pcdarts_tune.spaces.naming import short_count
from pcdarts_tune.spaces.values import label

TICK_SIZE = 11.0
"""Pixels of the numbers at an axis."""


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low, high: of the values, in the unit of the scale (log10 where `log`).
        categories: names in order, for values that are no numbers or only a few.
        number: writes a value.
        whole: ticks are whole numbers.
    """

    title: str
    low: float
    high: float
    log: bool = False
    categories: tuple[str, ...] = ()
    number: Callable[[float], str] = lambda value: short_number(value)
    whole: bool = False

    @classmethod
    def of(
        cls,
        values: Sequence[Any],
        title: str,
        *,
        log: bool = False,
        choices: Sequence[Any] = (),
        number: Callable[[float], str] | None = None,
        margin: float = 0.06,
        whole: bool = False,
    ) -> Axis:
        """An axis that holds the values, with a margin at both ends.

        Args:
            choices: in order, where the values are some of a few; values that are no numbers become choices by themselves.
        """
        options: dict[str, Any] = {} if number is None else {"number": number}
        if choices or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            names = tuple(dict.fromkeys(map(label, choices))) or tuple(
                sorted({label(value) for value in values})
            )
            return cls(title, -0.5, len(names) - 0.5, categories=names)
        whole = whole or (all(isinstance(value, int) for value in values) and not log)
        scaled = [math.log10(value) if log else float(value) for value in values] or [0.0, 1.0]
        low, high = min(scaled), max(scaled)
        around = (high - low) * margin if high > low else (0.3 if log else abs(low) * 0.05 or 0.5)
        return cls(title, low - around, high + around, log, whole=whole, **options)

    def at(self, value: Any) -> float:
        """Where a value stands: 0 at the low end, 1 at the high end."""
        if self.categories:
            scaled = float(self.categories.index(label(value)))
        else:
            scaled = math.log10(value) if self.log else float(value)
        return (scaled - self.low) / (self.high - self.low)

    def ticks(self, length: float, *, upright: bool = False) -> list[tuple[float, str]]:
        """(where, what is written) of ticks along `length` pixels that do not touch each other.

        Args:
            upright: the axis goes up, so that heights of numbers count and not their widths.
        """
        for steps in self._candidates():
            written = [(self.at(value), name) for value, name in steps]
            inside = [(at, name) for at, name in written if -1e-9 <= at <= 1 + 1e-9]
            if inside and _apart(inside, length, upright):
                return inside
        return []

    def _candidates(self) -> list[list[tuple[Any, str]]]:
        """Ticks from many to few."""
        if self.categories:
            shown = [
                [name for i, name in enumerate(self.categories) if i % every == 0]
                for every in (1, 2, 5, 10, 50)
            ]
            return [[(name, _cut(name)) for name in names] for names in shown]
        if self.log:
            return [[(value, self.number(value)) for value in values] for values in self._logarithmic()]
        return [
            [(value, self.number(value)) for value in self._even(count)] for count in (8, 6, 5, 4, 3, 2, 1)
        ]

    def _logarithmic(self) -> list[list[float]]:
        first, last = math.floor(self.low), math.ceil(self.high)
        sets = [(1, 2, 5), (1, 3), (1,)]
        found = [
            [digit * 10.0**power for power in range(first, last + 1) for digit in digits] for digits in sets
        ]
        every = [[10.0**power for power in range(first, last + 1) if power % step == 0] for step in (2, 3)]
        inside = [
            [v for v in values if self.low <= math.log10(v) <= self.high] for values in [*found, *every]
        ]
        ends = [10**self.low, 10**self.high]
        return [values for values in inside if len(values) >= 2] + [ends, ends[:1]]

    def _even(self, count: int) -> list[float]:
        """About `count` round numbers."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
        if self.whole:
            step = max(1.0, round(step))
        first = math.ceil(self.low / step - 1e-9)
        return [
            round(i * step, 12)
            for i in range(first, first + 50)
            if i * step <= self.high + 1e-9 * abs(self.high)
        ]


def short_number(value: float) -> str:
    """`0.025`, `5e-4`, `1200`, `3.6M`."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return short_count(round(value))
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"


def _cut(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _apart(ticks: Sequence[tuple[float, str]], length: float, upright: bool) -> bool:
    ends = -math.inf
    for at, name in sorted(ticks):
        half = 0.5 * TICK_SIZE if upright else 0.5 * text_width(name, TICK_SIZE)
        if at * length - half < ends + (3 if upright else 7):
            return False
        ends = at * length + half
    return True
