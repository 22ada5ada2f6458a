"""Charts as pictures: axes, points, lines and bars, in colours that follow the page's light or dark scheme.

chart = Chart(Axis.of(xs, "trial"), Axis.of(ys, "accuracy"))
chart.points([Point(3, 0.97, "trial 3: 0.9700")])
chart.picture("Accuracy by trial", "in words").svg(background="none")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune.drawing.geometry import text_width
from pcdarts_tune.drawing.picture import Line, Picture, Rectangle, Shape, Text
from pcdarts_tune.reporting.axis import TICK_SIZE, Axis

INK, MUTED, GRID = "var(--ink)", "var(--muted)", "var(--grid)"
POINT, BEST, LOST = "var(--point)", "var(--best)", "var(--lost)"
"""Colours that the page's style names."""

_TITLE_SIZE = 12.0


@dataclass(frozen=True)
class Point:
    """A point and what is said of it where the mouse rests on it."""

    x: Any
    y: Any
    hint: str = ""
    colour: str = POINT
    radius: float = 4.0
    aside: float = 0.0
    """How far to the side of its category, in widths of one."""


@dataclass
class Chart:
    """One plot; what is added later lies on top.

    Attributes:
        width, height: of the whole picture in pixels.
    """

    x: Axis
    y: Axis
    width: float = 520.0
    height: float = 300.0
    _marks: list[Shape] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._top, self._bottom = 28.0, 42.0
        rise = self.height - self._top - self._bottom
        self._y_ticks = self.y.ticks(rise, upright=True)
        widest = max((text_width(name, TICK_SIZE) for _, name in self._y_ticks), default=0.0)
        self._left, self._right = widest + 16.0, 16.0

    @property
    def _size(self) -> tuple[float, float]:
        return self.width - self._left - self._right, self.height - self._top - self._bottom

    def place(self, x: Any, y: Any) -> tuple[float, float]:
        """Pixels of a point."""
        across, rise = self._size
        return self._left + across * self.x.at(x), self._top + rise * (1 - self.y.at(y))

    def points(self, points: Sequence[Point]) -> None:
        """Dots."""
        for point in points:
            x, y = self.place(point.x, point.y)
            if self.x.categories:
                x += point.aside * self._size[0] / len(self.x.categories)
            r = point.radius
            dot = Rectangle(x - r, y - r, 2 * r, 2 * r, point.colour, "var(--page)", 1.0, r, hint=point.hint)
            self._marks.append(dot)

    def crosses(self, points: Sequence[Point]) -> None:
        """Small crosses, for trials that have no value: on the floor of the plot."""
        for point in points:
            x, y = self._left + self._size[0] * self.x.at(point.x), self._top + self._size[1]
            self._marks += [
                Line(((x - 3.5, y - 9), (x + 3.5, y - 2)), point.colour, 1.6),
                Line(((x - 3.5, y - 2), (x + 3.5, y - 9)), point.colour, 1.6),
                Rectangle(x - 5, y - 11, 10, 11, "transparent", hint=point.hint),
            ]

    def line(self, points: Sequence[tuple[Any, Any]], colour: str = BEST, *, dashed: bool = False) -> None:
        """Straight from point to point."""
        places = tuple(self.place(x, y) for x, y in points)
        if len(places) > 1:
            self._marks.append(Line(places, colour, 1.8, dashed))

    def steps(self, points: Sequence[tuple[Any, Any]], colour: str = BEST) -> None:
        """Level from each point to below or above the next."""
        corners: list[tuple[Any, Any]] = []
        for x, y in points:
            if corners:
                corners.append((x, corners[-1][1]))
            corners.append((x, y))
        self.line(corners, colour)

    def bars(self, bars: Sequence[Point], width: float) -> None:
        """Upright bars from the floor; `width` in pixels."""
        floor = self._top + self._size[1]
        for bar in bars:
            x, y = self.place(bar.x, bar.y)
            self._marks.append(
                Rectangle(x - width / 2, y, width, max(0.8, floor - y), bar.colour, hint=bar.hint)
            )

    def label(self, x: Any, y: Any, text: str, *, colour: str = INK) -> None:
        """A word beside a point, on the side where there is room."""
        px, py = self.place(x, y)
        width = text_width(text, 11.5)
        right = px + 9 + width <= self.width - 2
        below = py - 12 < self._top
        at = px + 8 if right else px - 8
        self._marks.append(
            Text(at, py + (13 if below else -10), text, 11.5, "start" if right else "end", colour=colour)
        )

    def picture(self, title: str, words: str) -> Picture:
        """The chart; `title` and `words` are what a screen reader says."""
        across, rise = self._size
        left, top, floor = self._left, self._top, self._top + self._size[1]
        shapes: list[Shape] = [Text(2, 11, self.y.title, _TITLE_SIZE, "start", colour=MUTED)]
        for at, name in self._y_ticks:
            y = top + rise * (1 - at)
            shapes.append(Line(((left, y), (left + across, y)), GRID))
            shapes.append(Text(left - 7, y, name, TICK_SIZE, "end", colour=MUTED))
        for at, name in self.x.ticks(across):
            x = left + across * at
            half = text_width(name, TICK_SIZE) / 2
            shapes.append(Line(((x, floor), (x, floor + 4)), MUTED))
            inside = min(max(x, half + 1), self.width - half - 1)
            shapes.append(Text(inside, floor + 13, name, TICK_SIZE, colour=MUTED))
        shapes.append(Line(((left, floor), (left + across, floor)), MUTED))
        shapes.append(Text(left + across / 2, self.height - 9, self.x.title, _TITLE_SIZE, colour=MUTED))
        return Picture(self.width, self.height, title, words, [*shapes, *self._marks])


def bar_list(rows: Sequence[tuple[str, float, str, str]], *, width: float = 520.0) -> Picture:
    """Level bars with a name and a number each: (name, share of the longest possible bar in 0..1, number, colour)."""
    names = max((text_width(name, 12) for name, _, _, _ in rows), default=0.0) + 12
    numbers = max((text_width(number, 12) for _, _, number, _ in rows), default=0.0) + 12
    room = max(60.0, width - names - numbers)
    shapes: list[Shape] = []
    for i, (name, share, number, colour) in enumerate(rows):
        y = 14 + 26.0 * i
        shapes.append(Text(names - 8, y, name, 12, "end", colour=INK))
        shapes.append(Rectangle(names, y - 8, max(1.0, room * share), 16, colour, hint=f"{name}: {number}"))
        shapes.append(Text(names + max(1.0, room * share) + 6, y, number, 12, "start", colour=MUTED))
    words = "; ".join(f"{name}: {number}" for name, _, number, _ in rows)
    return Picture(
        names + room + numbers, 28 + 26.0 * (len(rows) - 1) if rows else 1.0, "Bars", words, shapes
    )
