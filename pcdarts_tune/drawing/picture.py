"""Pictures as plain data: shapes in pixels, which render.py writes as SVG and as PNG.

y grows downwards. A text may have one subscript, written as in TeX: `c_{k-2}`.

    >>> Picture(100, 40, "Example", "A word.", [Text(50, 20, "c_{k-2}")]).width
    100
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

INK = "#1f2328"
"""The colour of texts and outlines."""

# advance widths of " " to "~" in DejaVu Sans, 1/1000 em: with Verdana the widest of the common sans-serif fonts
# fmt: off
_WIDTHS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636,
    636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752,
    295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390,
    838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411,
    521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)
# fmt: on

Point = tuple[float, float]


def text_width(text: str, size: float) -> float:
    """Width of `text` in a sans-serif font of `size` pixels; a full em for anything outside ASCII."""
    widths = (_WIDTHS[ord(c) - 32] if " " <= c <= "~" else 838 if c == "×" else 1000 for c in text)
    return sum(widths) * size / 1000


@dataclass(frozen=True)
class Rectangle:
    """A rectangle with rounded corners of `radius`."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    line_width: float = 1.4
    radius: float = 0.0
    dashed: bool = False


@dataclass(frozen=True)
class Curve:
    """Cubic Bezier curves through 1 + 3 m points."""

    points: tuple[Point, ...]
    colour: str
    line_width: float
    dashed: bool = False


@dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    points: tuple[Point, ...]
    fill: str


@dataclass(frozen=True)
class Text:
    """One line, centred on y; `anchor` says what x is: its start or its middle."""

    x: float
    y: float
    text: str
    size: float
    anchor: str = "middle"
    bold: bool = False


Shape = Rectangle | Curve | Polygon | Text


def moved(shapes: Sequence[Shape], dx: float, dy: float) -> list[Shape]:
    """The shapes, further right and further down."""
    return [
        replace(shape, points=tuple((x + dx, y + dy) for x, y in shape.points))
        if isinstance(shape, Curve | Polygon)
        else replace(shape, x=shape.x + dx, y=shape.y + dy)
        for shape in shapes
    ]


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
