"""Pictures as SVG, written by hand, and as PNG and PDF, drawn by matplotlib without a window.

Equal pictures give equal bytes: no dates, no generated names.

    render_svg(picture), render_png(picture, scale=2.0), render_pdf(picture)
"""

from __future__ import annotations

import functools
import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from pcdarts_tune.drawing.picture import INK, Curve, Picture, Point, Polygon, Rectangle, Shape, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
_FONTS = "'DejaVu Sans', Verdana, Arial, Helvetica, sans-serif"
_BASELINE = 0.36  # em from the middle of a line of text down to its baseline: half the height of capitals
_LARGEST = 12000  # pixels; Agg draws up to 65535
_SUBSCRIPT = re.compile(r"(.*)_\{(.*)\}(.*)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_svg(picture: Picture) -> str:
    """One self-contained <svg> element on white, fit for a file and for the inside of an HTML page."""
    title, description = _escape(picture.title), _escape(picture.description)
    width, height = _number(picture.width), _number(picture.height)
    frame = f'viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="{_FONTS}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {frame}>',
        f"<title>{title}</title>",
        f"<desc>{description}</desc>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *map(_element, picture.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def draw_png(draw: Callable[P, Figure]) -> Callable[P, bytes]:
    """Make a function that returns a figure one that returns its PNG, in matplotlib's own style whatever a matplotlibrc
    says, and without metadata."""

    @functools.wraps(draw)
    def png(*args: P.args, **options: P.kwargs) -> bytes:
        return _save("png", {"Software": None}, draw, *args, **options)

    return png


def _save(
    kind: str, metadata: dict[str, None], draw: Callable[P, Figure], *args: P.args, **options: P.kwargs
) -> bytes:
    from matplotlib import rc_context, style

    target = io.BytesIO()
    # of a PDF the letters as outlines of TrueType, which can be searched, copied and edited
    with style.context("default"), rc_context({"pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box instead
        draw(*args, **options).savefig(target, format=kind, metadata=metadata)
    return target.getvalue()


@draw_png
def render_png(picture: Picture, scale: float) -> Figure:
    """A PNG with `scale` pixels for each of the picture's units; fewer when it would be larger than 12000 pixels."""
    return _figure(picture, min(scale, _LARGEST / max(picture.width, picture.height)))


def render_pdf(picture: Picture) -> bytes:
    """A PDF of one page without margins, in vectors, for a paper; 100 of the picture's units are an inch."""
    return _save("pdf", {"Creator": None, "Producer": None, "CreationDate": None}, _figure, picture, 1.0)


def _figure(picture: Picture, scale: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure((picture.width / 100, picture.height / 100), dpi=100 * scale, facecolor="#ffffff")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()
    for order, shape in enumerate(picture.shapes):
        _draw(axes, shape, order)
    return figure


def _element(shape: Shape) -> str:
    """A shape as an SVG element."""
    match shape:
        case Rectangle():
            numbers = {name: getattr(shape, name) for name in ("x", "y", "width", "height")}
            numbers["rx"] = shape.radius
            return f'<rect {_attributes(numbers)} fill="{shape.fill}"{_stroke(shape, shape.stroke)}/>'
        case Curve():
            text = _points(shape.points).split(" ")
            path = f"M{text[0]}" + "".join(f" C{' '.join(text[i : i + 3])}" for i in range(1, len(text), 3))
            return f'<path d="{path}" fill="none"{_stroke(shape, shape.colour)}/>'
        case Polygon():
            return f'<polygon points="{_points(shape.points)}" fill="{shape.fill}"/>'
        case Text():
            baseline = shape.y + _BASELINE * shape.size
            place = _attributes({"x": shape.x, "y": baseline, "font-size": shape.size})
            weight = ' font-weight="bold"' if shape.bold else ""
            look = f'{place} text-anchor="{shape.anchor}" fill="{INK}"{weight}'
            return f"<text {look}>{_svg_text(shape)}</text>"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _attributes(numbers: dict[str, float]) -> str:
    return " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())


def _points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _stroke(shape: Rectangle | Curve, colour: str) -> str:
    dash = ' stroke-dasharray="5 3"' if shape.dashed else ""
    return f' stroke="{colour}" stroke-width="{shape.line_width}"{dash}'


def _printable(text: str) -> str:
    """The text with a sign in place of what no font has."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _escape(text: str) -> str:
    return html.escape(_printable(text))


def _svg_text(shape: Text) -> str:
    if (parts := _SUBSCRIPT.fullmatch(shape.text)) is None:
        return _escape(shape.text)
    (letter, index, rest), small = parts.groups(), _number(0.72 * shape.size)
    back = f'<tspan dy="{_number(-0.22 * shape.size)}">{_escape(rest)}</tspan>' if rest else ""
    return (
        f'<tspan font-style="italic">{_escape(letter)}</tspan>'
        f'<tspan font-size="{small}" dy="{_number(0.22 * shape.size)}">'
        f'<tspan font-style="italic">{_escape(index[:1])}</tspan>{_escape(index[1:].replace("-", "−"))}</tspan>{back}'
    )


def _draw(axes: Axes, shape: Shape, order: int) -> None:
    """Add a shape to matplotlib's axes; `order` counts from the lowest."""
    from matplotlib import patches
    from matplotlib.path import Path

    point = 0.72  # points a pixel, at 100 pixels an inch
    if isinstance(shape, Rectangle | Curve):
        dash: Any = (0, (5 / shape.line_width, 3 / shape.line_width)) if shape.dashed else "-"
        line = {"linewidth": point * shape.line_width, "linestyle": dash, "zorder": order}
    match shape:
        case Rectangle():
            box = f"round,pad=0,rounding_size={shape.radius}"
            place = ((shape.x, shape.y), shape.width, shape.height)
            axes.add_patch(patches.FancyBboxPatch(*place, box, fc=shape.fill, ec=shape.stroke, **line))
        case Curve():
            path = Path(shape.points, [Path.MOVETO, *[Path.CURVE4] * (len(shape.points) - 1)])
            axes.add_patch(patches.PathPatch(path, fc="none", ec=shape.colour, capstyle="butt", **line))
        case Polygon():
            axes.add_patch(patches.Polygon(shape.points, color=shape.fill, linewidth=0, zorder=order))
        case Text():
            found = _SUBSCRIPT.fullmatch(shape.text)
            axes.text(
                shape.x,
                shape.y + _BASELINE * shape.size,
                f"${found[1]}_{{{found[2]}}}${found[3]}" if found else _printable(shape.text),
                parse_math=found is not None,
                size=point * shape.size,
                weight="bold" if shape.bold else "normal",
                color=INK,
                ha={"start": "left", "middle": "center"}[shape.anchor],
                va="baseline",
                zorder=order,
            )
