"""A picture as PNG, drawn by matplotlib without a window: equal pictures give equal bytes, without dates."""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from pcdarts_tune.drawing.picture import (
    BASELINE,
    SUBSCRIPT,
    Curve,
    Line,
    Polygon,
    Raster,
    Rectangle,
    Shape,
    Text,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pcdarts_tune.drawing.picture import Picture

P = ParamSpec("P")
_LARGEST = 12000  # pixels; Agg draws up to 65535


def draw_png(draw: Callable[P, Figure]) -> Callable[P, bytes]:
    """Make the figure that `draw` returns a PNG without metadata, with matplotlib's own style whatever a matplotlibrc says."""

    @functools.wraps(draw)
    def png(*args: P.args, **options: P.kwargs) -> bytes:
        from matplotlib import style

        target = io.BytesIO()
        with style.context("default"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box instead
            draw(*args, **options).savefig(target, format="png", metadata={"Software": None})
        return target.getvalue()

    return png


@draw_png
def png(picture: Picture, scale: float) -> Figure:
    """`scale` pixels for each of the picture's units; fewer when it would be larger than 12000."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale = min(scale, _LARGEST / max(picture.width, picture.height))
    size = (picture.width / 100, picture.height / 100)
    made = Figure(figsize=size, dpi=100 * scale, facecolor="#ffffff")
    FigureCanvasAgg(made)
    axes = made.add_axes((0, 0, 1, 1), xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.set_axis_off()
    axes.set_autoscale_on(False)  # pixels of a raster would rescale the picture
    for order, shape in enumerate(picture.shapes):
        _draw(axes, shape, order)
    return made


def _draw(axes: Any, shape: Shape, order: int) -> None:
    from matplotlib import patches
    from matplotlib.path import Path

    point = 0.72  # points a pixel, at 100 pixels an inch
    match shape:
        case Rectangle():
            box = f"round,pad=0,rounding_size={shape.radius}" if shape.radius else "square,pad=0"
            paint: dict[str, Any] = {"facecolor": shape.fill, "edgecolor": shape.stroke, "zorder": order}
            paint |= {"linewidth": point * shape.line_width, "linestyle": _dash(shape)}
            corner = (shape.x, shape.y)
            axes.add_patch(patches.FancyBboxPatch(corner, shape.width, shape.height, boxstyle=box, **paint))
        case Curve():
            path = Path(shape.points, [Path.MOVETO, *[Path.CURVE4] * (len(shape.points) - 1)])
            paint = {"facecolor": "none", "edgecolor": shape.colour, "capstyle": "butt", "zorder": order}
            paint |= {"linewidth": point * shape.line_width, "linestyle": _dash(shape)}
            axes.add_patch(patches.PathPatch(path, **paint))
        case Line():
            path = Path(shape.points)
            paint = {"facecolor": "none", "edgecolor": shape.colour, "capstyle": "butt", "zorder": order}
            paint |= {"linewidth": point * shape.line_width, "linestyle": _dash(shape)}
            axes.add_patch(patches.PathPatch(path, **paint))
        case Polygon():
            axes.add_patch(
                patches.Polygon(shape.points, closed=True, color=shape.fill, linewidth=0, zorder=order)
            )
        case Raster():
            colours = [
                [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in row] for row in shape.rows
            ]
            extent = (shape.x, shape.x + shape.width, shape.y + shape.height, shape.y)
            axes.imshow(colours, extent=extent, aspect="auto", interpolation="nearest", zorder=order)
        case Text():
            found = SUBSCRIPT.fullmatch(shape.text)
            text = f"${found[1]}_{{{found[2]}}}${found[3]}" if found else printable(shape.text)
            paint = {
                "size": point * shape.size,
                "weight": "bold" if shape.bold else "normal",
                "color": shape.colour,
            }
            paint |= {
                "ha": {"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                "va": "baseline",
            }
            down, turn = BASELINE * shape.size, math.radians(shape.angle)
            place = (shape.x + down * math.sin(turn), shape.y + down * math.cos(turn))
            paint |= {"rotation": shape.angle, "rotation_mode": "anchor"}
            axes.text(*place, text, parse_math=found is not None, zorder=order, **paint)


def _dash(shape: Rectangle | Curve | Line) -> str | tuple[int, tuple[float, float]]:
    return (0, (5 / shape.line_width, 3 / shape.line_width)) if shape.dashed else "-"
