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
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.geometry import Point

INK = "#1f2328"
_FONTS = "'DejaVu Sans', Verdana, Arial, Helvetica, sans-serif"
_SUBSCRIPT = re.compile(r"(.*)_\{(.*)\}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST_PNG = 12000  # pixels; Agg draws up to 65535


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
    stroke_width: float = 1.4
    radius: float = 0.0
    dashed: bool = False


@dataclass(frozen=True)
class Curve:
    """Cubic Bezier curves through 1 + 3 m points."""

    points: tuple[Point, ...]
    colour: str
    width: float
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


@dataclass(frozen=True)
class Picture:
    """Shapes, drawn in order on white; `title` and `description` are what a screen reader says."""

    width: float
    height: float
    title: str
    description: str
    shapes: Sequence[Shape]

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
    return html.escape(_UNPRINTABLE.sub("\ufffd", text))


def _svg_shape(shape: Shape) -> str:
    dash = ' stroke-dasharray="5 3"' if isinstance(shape, Rectangle | Curve) and shape.dashed else ""
    match shape:
        case Rectangle():
            place = " ".join(
                f'{name}="{_number(getattr(shape, name))}"' for name in ("x", "y", "width", "height")
            )
            line = (
                f' stroke="{shape.stroke}" stroke-width="{shape.stroke_width}"{dash}'
                if shape.stroke != "none"
                else ""
            )
            return f'<rect {place} rx="{_number(shape.radius)}" fill="{shape.fill}"{line}/>'
        case Curve():
            return f'<path d="{_path(shape.points)}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width}"{dash}/>'
        case Polygon():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
            return f'<polygon points="{points}" fill="{shape.fill}"/>'
        case Text():
            # 0.35 em below the centre: half the height of capitals, which every renderer understands
            place = f'x="{_number(shape.x)}" y="{_number(shape.y + 0.35 * shape.size)}" font-size="{_number(shape.size)}"'
            weight = ' font-weight="bold"' if shape.bold else ""
            return f'<text {place} text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>{_svg_text(shape)}</text>'


def _path(points: tuple[Point, ...]) -> str:
    text = [f"{_number(x)},{_number(y)}" for x, y in points]
    return f"M{text[0]}" + "".join(f" C{' '.join(text[i : i + 3])}" for i in range(1, len(text), 3))


def _svg_text(shape: Text) -> str:
    if (parts := _SUBSCRIPT.fullmatch(shape.text)) is None:
        return _escape(shape.text)
    letter, index = parts.groups()
    small = _number(0.72 * shape.size)
    return (
        f'<tspan font-style="italic">{_escape(letter)}</tspan>'
        f'<tspan font-size="{small}" dy="{_number(0.22 * shape.size)}">{_escape(index.replace("-", "−"))}</tspan>'
    )


def _agg_shape(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib import patches
    from matplotlib.path import Path

    point = 0.72  # points a pixel, at 100 pixels an inch
    match shape:
        case Rectangle():
            line = {
                "linewidth": point * shape.stroke_width,
                "linestyle": (0, (3.5, 2.2)) if shape.dashed else "-",
            }
            colours: dict[str, Any] = {"facecolor": shape.fill, "edgecolor": shape.stroke}
            box = f"round,pad=0,rounding_size={shape.radius}" if shape.radius else "square,pad=0"
            corner = (shape.x, shape.y)
            patch: patches.Patch = patches.FancyBboxPatch(
                corner, shape.width, shape.height, boxstyle=box, zorder=order, **colours, **line
            )
            axes.add_patch(patch)
        case Curve():
            path = Path(shape.points, [Path.MOVETO, *[Path.CURVE4] * (len(shape.points) - 1)])
            line = {"linewidth": point * shape.width, "linestyle": (0, (3.0, 1.8)) if shape.dashed else "-"}
            patch = patches.PathPatch(
                path, facecolor="none", edgecolor=shape.colour, capstyle="butt", zorder=order, **line
            )
            axes.add_patch(patch)
        case Polygon():
            axes.add_patch(
                patches.Polygon(shape.points, closed=True, facecolor=shape.fill, linewidth=0, zorder=order)
            )
        case Text():
            found = _SUBSCRIPT.fullmatch(shape.text)
            text = f"${found[1]}_{{{found[2]}}}$" if found else _UNPRINTABLE.sub("\ufffd", shape.text)
            align = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
            font = {
                "fontsize": point * shape.size,
                "weight": "bold" if shape.bold else "normal",
                "color": shape.colour,
            }
            # on the same baseline as in the SVG, whatever ink this text has
            place = {"ha": align, "va": "baseline", "parse_math": found is not None, "zorder": order}
            axes.text(shape.x, shape.y + 0.35 * shape.size, text, **font, **place)
