"""A picture as a list of shapes, and its two writers: SVG by hand, PNG by matplotlib. No window, no browser, no clock.

Equal pictures give equal bytes: no dates, no generated ids. Units: pixels; y grows downwards. `c_{k-2}` in a text is
written with a subscript.

    >>> Picture(100, 40, "Example", "A word.", [Text(50, 20, "c_{k-2}")]).svg()
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pcdarts_tune.drawing.geometry import Point

INK = "#1f2328"
_FONTS = "'DejaVu Sans', Verdana, Arial, Helvetica, sans-serif"
_SUBSCRIPT = re.compile(r"(.*)_\{(.*)\}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BASELINE = 0.36  # em from the middle of a line of text down to its baseline: half the height of capitals
_LARGEST_PNG = 12000  # pixels; Agg draws up to 65535


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
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
    points: tuple[Point, ...]
    fill: str


@dataclass(frozen=True)
class Text:
    """One line, centred on y; `anchor` says what x is: its start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 13.0
    anchor: str = "middle"
    bold: bool = False
    colour: str = INK


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

    def svg(self) -> str:
        """One self-contained <svg> element, fit for a file and for the inside of an HTML page."""
        title, description = _escape(self.title), _escape(self.description)
        width, height = _number(self.width), _number(self.height)
        size = f'width="{width}" height="{height}"'
        frame = (
            f'{size} viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="{_FONTS}"'
        )
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
            f"<title>{title}</title>",
            f"<desc>{description}</desc>",
            f'<rect {size} fill="#ffffff"/>',
            *(_svg_shape(shape) for shape in self.shapes),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def png(self, *, scale: float = 2.0) -> bytes:
        """The same picture in `scale` times as many pixels (fewer when it would be larger than 12000)."""
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        scale = min(scale, _LARGEST_PNG / max(self.width, self.height))
        target = io.BytesIO()
        with style.context("default"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box instead
            figure = Figure(
                figsize=(self.width / 100, self.height / 100), dpi=100 * scale, facecolor="#ffffff"
            )
            FigureCanvasAgg(figure)
            axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
            axes.set_axis_off()
            for order, shape in enumerate(self.shapes):
                _agg_shape(axes, shape, order)
            figure.savefig(target, format="png", metadata={"Software": None})
        return target.getvalue()


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _escape(text: str) -> str:
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _svg_shape(shape: Shape) -> str:
    match shape:
        case Rectangle():
            numbers = {
                "x": shape.x,
                "y": shape.y,
                "width": shape.width,
                "height": shape.height,
                "rx": shape.radius,
            }
            place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
            return f'<rect {place} fill="{shape.fill}"{_svg_line(shape, shape.stroke)}/>'
        case Curve():
            return f'<path d="{_path(shape.points)}" fill="none"{_svg_line(shape, shape.colour)}/>'
        case Polygon():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
            return f'<polygon points="{points}" fill="{shape.fill}"/>'
        case Text():
            numbers = {"x": shape.x, "y": shape.y + _BASELINE * shape.size, "font-size": shape.size}
            place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
            weight = ' font-weight="bold"' if shape.bold else ""
            return f'<text {place} text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>{_svg_text(shape)}</text>'


def _svg_line(shape: Rectangle | Curve, colour: str) -> str:
    dash = ' stroke-dasharray="5 3"' if shape.dashed else ""
    return f' stroke="{colour}" stroke-width="{shape.line_width}"{dash}' if colour != "none" else ""


def _path(points: tuple[Point, ...]) -> str:
    text = [f"{_number(x)},{_number(y)}" for x, y in points]
    return f"M{text[0]}" + "".join(f" C{' '.join(text[i : i + 3])}" for i in range(1, len(text), 3))


def _svg_text(shape: Text) -> str:
    if (parts := _SUBSCRIPT.fullmatch(shape.text)) is None:
        return _escape(shape.text)
    (letter, index), small = parts.groups(), _number(0.72 * shape.size)
    return (
        f'<tspan font-style="italic">{_escape(letter)}</tspan>'
        f'<tspan font-size="{small}" dy="{_number(0.22 * shape.size)}">'
        f'<tspan font-style="italic">{_escape(index[:1])}</tspan>{_escape(index[1:].replace("-", "−"))}</tspan>'
    )


def _agg_shape(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib import patches
    from matplotlib.path import Path

    point = 0.72  # points a pixel, at 100 pixels an inch
    match shape:
        case Rectangle():
            box = f"round,pad=0,rounding_size={shape.radius}" if shape.radius else "square,pad=0"
            paint: dict[str, Any] = {"facecolor": shape.fill, "edgecolor": shape.stroke, "zorder": order}
            paint |= {"linewidth": point * shape.line_width, "linestyle": _agg_dash(shape)}
            corner = (shape.x, shape.y)
            axes.add_patch(patches.FancyBboxPatch(corner, shape.width, shape.height, boxstyle=box, **paint))
        case Curve():
            path = Path(shape.points, [Path.MOVETO, *[Path.CURVE4] * (len(shape.points) - 1)])
            paint = {"facecolor": "none", "edgecolor": shape.colour, "capstyle": "butt", "zorder": order}
            paint |= {"linewidth": point * shape.line_width, "linestyle": _agg_dash(shape)}
            axes.add_patch(patches.PathPatch(path, **paint))
        case Polygon():
            axes.add_patch(
                patches.Polygon(shape.points, closed=True, color=shape.fill, linewidth=0, zorder=order)
            )
        case Text():
            found = _SUBSCRIPT.fullmatch(shape.text)
            text = f"${found[1]}_{{{found[2]}}}$" if found else _printable(shape.text)
            paint = {
                "size": point * shape.size,
                "weight": "bold" if shape.bold else "normal",
                "color": shape.colour,
            }
            paint |= {
                "ha": {"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                "va": "baseline",
            }
            y = shape.y + _BASELINE * shape.size
            axes.text(shape.x, y, text, parse_math=found is not None, zorder=order, **paint)


def _agg_dash(shape: Rectangle | Curve) -> str | tuple[int, tuple[float, float]]:
    return (0, (5 / shape.line_width, 3 / shape.line_width)) if shape.dashed else "-"
