"""What a picture is made of. Units: pixels; y grows downwards. `c_{k-2}` in a text is written with a subscript.

>>> Text(50, 20, "c_{k-2} → 0").box()

A picture as a list of shapes, and its two writers: SVG by hand, PNG by matplotlib. No window, no browser, no clock.

Colours are those of SVG; a picture that names CSS variables is for a page, not for a PNG.

    >>> Picture(100, 40, "Example", "A word.", [Text(50, 20, "c_{k-2}")]).svg()
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pcdarts_tune.drawing.geometry import Box, Point, text_width

INK = "#1f2328"
BASELINE = 0.36
"""Em from the middle of a line of text down to its baseline: half the height of capitals."""
SUBSCRIPT = re.compile(r"(.*)_\{(.*)\}(.*)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BOLD = 1.18  # how much wider than text_width


def printable(text: str) -> str:
    """The text with a sign in place of what no font has."""
    return _UNPRINTABLE.sub("\ufffd", text)


@dataclass(frozen=True)
class Rectangle:
    """A rectangle, with `radius` half its height a circle; `hint` is shown by a browser where the mouse rests."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
    line_width: float = 1.4
    radius: float = 0.0
    dashed: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Curve:
    """Cubic Bezier curves through 1 + 3 m points."""

    points: tuple[Point, ...]
    colour: str
    line_width: float
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """Straight from point to point."""

    points: tuple[Point, ...]
    colour: str
    line_width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Polygon:
    points: tuple[Point, ...]
    fill: str
    hint: str = ""


@dataclass(frozen=True)
class Raster:
    """Rows of colours (`#rrggbb`), each a rectangle of the same size; sharp at any scale."""

    x: float
    y: float
    width: float
    height: float
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Text:
    """One line, centred on y; `anchor` says what x is: its start, middle or end. `angle`: degrees, counter-clockwise, about
    that point."""

    x: float
    y: float
    text: str
    size: float = 13.0
    anchor: str = "middle"
    bold: bool = False
    colour: str = INK
    angle: float = 0.0

    def box(self) -> Box:
        """What it covers; of slanted text the rectangle around it."""
        plain = SUBSCRIPT.sub(r"\1\2\3", self.text)
        width = text_width(plain, self.size) * (_BOLD if self.bold else 1.0)
        left = {"start": 0.0, "middle": -width / 2, "end": -width}[self.anchor]
        half = 0.5 * self.size
        turn = math.radians(-self.angle)
        corners = [
            (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
            for x in (left, left + width)
            for y in (-half, half)
        ]
        low_x, low_y = min(x for x, _ in corners), min(y for _, y in corners)
        high_x, high_y = max(x for x, _ in corners), max(y for _, y in corners)
        return Box(self.x + low_x, self.y + low_y, high_x - low_x, high_y - low_y, plain)


Shape = Rectangle | Curve | Line | Polygon | Raster | Text


def moved(shapes: Sequence[Shape], dx: float, dy: float) -> list[Shape]:
    """The shapes, further right and further down."""
    return [
        replace(shape, points=tuple((x + dx, y + dy) for x, y in shape.points))
        if isinstance(shape, Curve | Line | Polygon)
        else replace(shape, x=shape.x + dx, y=shape.y + dy)
        for shape in shapes
    ]


__all__ = ["INK", "Curve", "Line", "Picture", "Polygon", "Raster", "Rectangle", "Shape", "Text", "moved"]


@dataclass(frozen=True)
class Picture:
    """Shapes, drawn in order on white; `title` and `description` are what a screen reader says."""

    width: float
    height: float
    title: str
    description: str
    shapes: Sequence[Shape]

    def padded(self, width: float, height: float) -> Picture:
        """The same in the middle of a larger picture."""
        dx, dy = (width - self.width) / 2, (height - self.height) / 2
        return Picture(width, height, self.title, self.description, moved(self.shapes, dx, dy))

    def overlaps(self) -> list[str]:
        """Texts that touch each other or leave the picture; slanted ones are only looked at for the latter."""
        found: list[str] = []
        level: list[Box] = []
        for text in (shape for shape in self.shapes if isinstance(shape, Text)):
            box = text.box()
            if box.x < 0 or box.y < 0 or box.x + box.width > self.width or box.y + box.height > self.height:
                found.append(f"{text.text!r} leaves the picture")
            if text.angle % 90 == 0:
                found += [f"{other.text!r} and {text.text!r}" for other in level if box.gap(other) < 0]
                level.append(box)
        return found

    def svg(self, *, background: str = "#ffffff") -> str:
        """One self-contained <svg> element, fit for a file and for the inside of an HTML page; `background` may be none."""
        from pcdarts_tune.drawing.svgwriter import svg

        return svg(self, background)

    def png(self, *, scale: float = 2.0) -> bytes:
        """The same picture in `scale` times as many pixels (fewer when it would be larger than 12000)."""
        from pcdarts_tune.drawing.pngwriter import png

        return png(self, scale)
