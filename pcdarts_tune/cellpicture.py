"""Laid out cells as a picture: colours, arrowheads, headings and the legend.

Colour says the kind of operation, in the palette of Okabe and Ito, which colour-blind readers tell apart.

    >>> operation_kind("sep_conv_3x3"), short_name("sep_conv_3x3")
    ('separable', 'sep 3×3')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pcdarts_tune.geometry import CellLayout, Edge, text_width
from pcdarts_tune.picture import INK, Curve, Picture, Polygon, Rectangle, Shape, Text

# (colour, tint for the label, name in the legend)
Style = tuple[str, str, str]
KINDS: dict[str, Style] = {
    "separable": ("#0072b2", "#e3f0f8", "separable convolution"),
    "dilated": ("#d55e00", "#fcebdf", "dilated convolution"),
    "pooling": ("#009e73", "#e0f3ed", "pooling"),
    "skip": ("#d39200", "#fdf3dc", "skip connection"),
    "other": ("#a8568a", "#f7eaf2", "other operation"),
}
OUTPUT_WIRE = "#a3a8ae"
_MARGIN, _HEADING, _LEGEND, _LINE = 16.0, 34.0, 12.0, 22.0


def operation_kind(operation: str) -> str:
    """What colour an operation gets: separable, dilated, pooling, skip or other."""
    for kind, sign in (
        ("separable", "sep_"),
        ("dilated", "dil_"),
        ("pooling", "pool"),
        ("skip", "skip"),
        ("skip", "identity"),
    ):
        if sign in operation:
            return kind
    return "other"


def short_name(operation: str) -> str:
    """`sep_conv_3x3` -> `sep 3×3`, for small pictures; a name of another form stays as it is."""
    if operation == "skip_connect":
        return "skip"
    found = re.fullmatch(r"(?:(sep|dil)_conv|(max|avg)_pool|(conv))((?:_\d+x\d+)+)", operation)
    if found is None:
        return operation
    return (found[1] or found[2] or found[3]) + found[4].replace("_", " ").replace("x", "×")


def stack(
    title: str,
    description: str,
    heading: str | None,
    parts: Sequence[tuple[str, CellLayout]],
    style: Callable[[Edge], Style],
    legend: Sequence[Style],
) -> Picture:
    """Cells one above the other, each under its heading, and the legend below."""
    inner = max([cell.width for _, cell in parts] + [text_width(text, 15) * 1.1 for text, _ in parts])
    inner = max(
        [inner, *(text_width(entry[2], 12) + 30 for entry in legend), text_width(heading or "", 17) * 1.1]
    )
    shapes: list[Shape] = []
    y = _MARGIN
    if heading:
        shapes.append(Text(_MARGIN, y + 10, heading, 17, "start", bold=True))
        y += _HEADING
    for text, cell in parts:
        shapes.append(Text(_MARGIN, y + 9, text, 15, "start", bold=True))
        y += _HEADING
        shapes += _cell_shapes(cell, _MARGIN + (inner - cell.width) / 2, y, style)
        y += cell.height + _LINE
    x = _MARGIN
    for colour, tint, name in legend:
        width = 30 + text_width(name, 12)
        if x > _MARGIN and x + width > _MARGIN + inner:
            x, y = _MARGIN, y + _LINE
        shapes.append(Rectangle(x, y - 6, 20, 12, tint, colour, radius=4))
        shapes.append(Text(x + 26, y, name, 12, "start"))
        x += width + 16
    return Picture(inner + 2 * _MARGIN, y + _LEGEND + _MARGIN, title, description, shapes)


def _cell_shapes(cell: CellLayout, dx: float, dy: float, style: Callable[[Edge], Style]) -> list[Shape]:
    shapes: list[Shape] = []
    for wire in sorted(cell.wires, key=lambda w: w.edge.operation is not None):
        points = [(x + dx, y + dy) for x, y in wire.points]
        concatenated = wire.edge.operation is None
        marked = concatenated and wire.edge.mark == ""
        colour = OUTPUT_WIRE if marked else style(wire.edge)[0]
        (x, y), length, half = (
            points[-1],
            (6.5, 3.2)[0] if concatenated else 8.0,
            3.0 if concatenated else 3.8,
        )
        # the line ends inside its arrowhead, so that the tip stays sharp
        points[-2:] = [(px - length + 1, py) for px, py in points[-2:]]
        dashed = wire.edge.mark == "a"
        shapes.append(Curve(tuple(points), colour, 1.3 if concatenated else 1.8, dashed))
        shapes.append(Polygon(((x, y), (x - length, y - half), (x - length, y + half)), colour))
    for wire in cell.wires:
        if wire.label is not None:
            box, (colour, tint, _) = wire.label, style(wire.edge)
            shapes.append(
                Rectangle(
                    box.x + dx, box.y + dy, box.width, box.height, tint, colour, 1.4, 7, wire.edge.mark == "a"
                )
            )
            shapes.append(Text(box.centre[0] + dx, box.centre[1] + dy, box.text))
    last = len(cell.states) - 1
    for state, box in enumerate(cell.states):
        fill = "#ffffff" if 2 <= state < last else "#e9ecef"
        shapes.append(
            Rectangle(
                box.x + dx, box.y + dy, box.width, box.height, fill, INK, 1.5, 9 if 2 <= state < last else 5
            )
        )
        shapes.append(Text(box.centre[0] + dx, box.centre[1] + dy, box.text, 15))
    return shapes


def padded(picture: Picture, width: float, height: float) -> Picture:
    """The picture in the middle of a larger one."""
    dx, dy = (width - picture.width) / 2, (height - picture.height) / 2
    moved: list[Shape] = []
    for shape in picture.shapes:
        if isinstance(shape, Curve):
            moved.append(
                Curve(
                    tuple((x + dx, y + dy) for x, y in shape.points), shape.colour, shape.width, shape.dashed
                )
            )
        elif isinstance(shape, Polygon):
            moved.append(Polygon(tuple((x + dx, y + dy) for x, y in shape.points), shape.fill))
        else:
            moved.append(replace(shape, x=shape.x + dx, y=shape.y + dy))
    return Picture(width, height, picture.title, picture.description, moved)
