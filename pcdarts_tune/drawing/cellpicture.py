"""Laid out cells as a picture: colours, arrowheads, headings and the legend.

Colour says the kind of operation, in the palette of Okabe and Ito, which colour-blind readers tell apart.

    >>> operation_kind("sep_conv_3x3"), short_name("sep_conv_3x3")
    ('separable', 'sep 3×3')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.drawing.geometry import Box, CellLayout, Edge, text_width
from pcdarts_tune.drawing.picture import INK, Curve, Picture, Polygon, Rectangle, Shape, Text, moved


@dataclass(frozen=True)
class Style:
    """How an edge and its label are painted, and what the legend calls that."""

    colour: str
    tint: str
    name: str
    dashed: bool = False


KINDS = {
    "separable": Style("#0072b2", "#e3f0f8", "separable convolution"),
    "dilated": Style("#d55e00", "#fcebdf", "dilated convolution"),
    "pooling": Style("#009e73", "#e0f3ed", "pooling"),
    "skip": Style("#d39200", "#fdf3dc", "skip connection"),
    "other": Style("#a8568a", "#f7eaf2", "other operation"),
}
OUTPUT = Style("#a3a8ae", "#ffffff", "concatenated into the output")
_SIGNS = {"sep_": "separable", "dil_": "dilated", "pool": "pooling", "skip": "skip", "identity": "skip"}
_MARGIN, _HEADING, _LINE = 16.0, 34.0, 22.0


def operation_kind(operation: str) -> str:
    """What an operation is coloured as, by its name: separable, dilated, pooling, skip or other."""
    return next((kind for sign, kind in _SIGNS.items() if sign in operation), "other")


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
    bold = 1.18  # how much wider than text_width
    widths = [cell.width for _, cell in parts] + [bold * text_width(text, 15) for text, _ in parts]
    widths += [bold * text_width(heading or "", 17)] + [30 + text_width(entry.name, 12) for entry in legend]
    inner, y = max(widths), _MARGIN
    shapes: list[Shape] = []
    if heading:
        shapes.append(Text(_MARGIN, y + 10, heading, 17, "start", bold=True))
        y += _HEADING
    for text, cell in parts:
        shapes.append(Text(_MARGIN, y + 9, text, 15, "start", bold=True))
        y += _HEADING
        shapes += moved(_cell_shapes(cell, style), _MARGIN + (inner - cell.width) / 2, y)
        y += cell.height + _LINE
    x = _MARGIN
    for entry in legend:
        width = 30 + text_width(entry.name, 12)
        if x > _MARGIN and x + width > _MARGIN + inner:
            x, y = _MARGIN, y + _LINE
        shapes.append(Rectangle(x, y - 6, 20, 12, entry.tint, entry.colour, radius=4, dashed=entry.dashed))
        shapes.append(Text(x + 26, y, entry.name, 12, "start"))
        x += width + 16
    return Picture(inner + 2 * _MARGIN, y + 6 + _MARGIN, title, description, shapes)


def _cell_shapes(cell: CellLayout, style: Callable[[Edge], Style]) -> list[Shape]:
    shapes: list[Shape] = []
    for wire in sorted(cell.wires, key=lambda w: w.edge.operation is not None):
        paint = style(wire.edge)
        line, length, half = (1.8, 8.0, 3.8) if wire.edge.operation else (1.3, 6.5, 3.0)
        x, y = wire.points[-1]
        # the line ends inside its arrowhead, so that the tip stays sharp
        shortened = tuple((px - length + 1, py) for px, py in wire.points[-2:])
        shapes.append(Curve((*wire.points[:-2], *shortened), paint.colour, line, paint.dashed))
        shapes.append(Polygon(((x, y), (x - length, y - half), (x - length, y + half)), paint.colour))
    for wire in cell.wires:
        if wire.label is not None:
            paint = style(wire.edge)
            shapes += _box(
                wire.label, 13, paint.tint, paint.colour, line_width=1.4, radius=7, dashed=paint.dashed
            )
    for state, box in enumerate(cell.states):
        node = 2 <= state < len(cell.states) - 1
        shapes += _box(
            box, 15, "#ffffff" if node else "#e9ecef", INK, line_width=1.5, radius=9 if node else 5
        )
    return shapes


def _box(box: Box, size: float, fill: str, stroke: str, **line: Any) -> list[Shape]:
    x, y = box.centre
    return [Rectangle(box.x, box.y, box.width, box.height, fill, stroke, **line), Text(x, y, box.text, size)]
