"""Laid out cells as a picture: colours, arrowheads, headings and the legend.

Colour says the kind of operation, in the palette of Okabe and Ito, which colour-blind readers tell apart.

    >>> operation_kind("sep_conv_3x3"), short_name("sep_conv_3x3")
    ('separable', 'sep 3×3')

Genotypes as pictures: the normal and the reduction cell as SVG, PNG or DOT, without the graphviz program.

An operation stands just left of the node that it feeds; colour says its kind. Equal genotypes give equal bytes.

    >>> draw_genotype(PUBLISHED["PC_DARTS_cifar"], "cells.svg")
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.drawing.geometry import Box, CellLayout, Edge, text_width
from pcdarts_tune.drawing.layout import layout, layout_edges
from pcdarts_tune.drawing.picture import INK, Curve, Picture, Polygon, Rectangle, Shape, Text, moved
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import write_output


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


Which = Literal["both", "normal", "reduce"]
SUFFIXES = (".svg", ".png", ".dot")

_Cell = tuple[str, tuple[tuple[str, int], ...], tuple[int, ...]]
HEADINGS = {"normal": "Normal cell", "reduce": "Reduction cell"}


def draw_genotype(genotype: Genotype, path: str | os.PathLike[str], *, which: Which = "both") -> Path:
    """Write the cells to `path`, whose suffix says how; a file that was there is replaced whole or not at all.

    Raises:
        UserError: for an unknown suffix or cell, or a folder that cannot be written to.
    """
    target = Path(path)
    _cells(genotype, which)
    suffix = target.suffix.lower()
    if suffix == ".svg":
        content = cell_svg(genotype, which=which).encode()
    elif suffix == ".png":
        content = cell_png(genotype, which=which)
    elif suffix == ".dot":
        content = cell_dot(genotype, which=which).encode()
    else:
        message = f"cannot tell from {target.name!r} what to draw; the name must end in {', '.join(SUFFIXES)}"
        raise UserError(message + nearest(suffix, SUFFIXES), hint=f"try {target.with_suffix('.svg').name}")
    write_output(target, content)
    return target


def cell_picture(genotype: Genotype, *, which: Which = "both", title: str | None = None) -> Picture:
    """The cells as a picture; `title` names it and is not drawn."""
    picture = _picture(genotype, which, None)
    return replace(picture, title=title or picture.title)


def cell_svg(genotype: Genotype, *, which: Which = "both", title: str | None = None) -> str:
    """One self-contained <svg> element with a title and a description in words; fit for a file or an HTML page."""
    return _picture(genotype, which, title).svg()


def cell_png(
    genotype: Genotype, *, which: Which = "both", title: str | None = None, scale: float = 2.0
) -> bytes:
    """The same picture as `cell_svg`, with `scale` pixels for each of its units."""
    return _picture(genotype, which, title).png(scale=scale)


def cells_png(genotype: Genotype, *, title: str | None = None) -> bytes:
    """Both cells in a nearly square picture with short operation names, readable on a small card (1200 pixels wide)."""
    spreads = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.6)
    pictures = [_picture(genotype, "both", title, short=short_name, spread=spread) for spread in spreads]
    best = min(pictures, key=lambda p: abs(p.height - p.width))
    side = max(best.width, 0.94 * best.height)
    return best.padded(side, max(best.height, 0.94 * side)).png(scale=1200 / side)


def cell_dot(genotype: Genotype, *, which: Which = "both") -> str:
    """The cells in the DOT language, for those who have graphviz or want to edit the graph."""
    lines = ["digraph genotype {", "  rankdir=LR;", '  edge [fontname="Helvetica"];']
    lines += ['  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"];']
    for kind, cell, concat in _cells(genotype, which):
        nodes = len(cell) // 2
        names = [
            "<<I>c</I><SUB>k-2</SUB>>",
            "<<I>c</I><SUB>k-1</SUB>>",
            *map(str, range(nodes)),
            "<<I>c</I><SUB>k</SUB>>",
        ]
        lines += [f"  subgraph cluster_{kind} {{", f'    label="{HEADINGS[kind]}"; color="#ffffff";']
        lines += [f"    {kind}_{i} [label={name}];" for i, name in enumerate(names)]
        for edge in sorted(
            _edges(cell, concat, nodes), key=lambda e: (e.target, e.source, e.operation or "")
        ):
            look = f'color="{OUTPUT.colour}"'
            if edge.operation:
                name = edge.operation.replace("\\", "\\\\").replace('"', '\\"')
                look = f'label="{name}", color="{KINDS[operation_kind(edge.operation)].colour}"'
            lines.append(f"    {kind}_{edge.source} -> {kind}_{edge.target} [{look}];")
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def genotype_diff_svg(a: Genotype, b: Genotype, *, names: tuple[str, str] = ("A", "B")) -> str:
    """Both genotypes in one drawing: edges only in `a` dashed blue, only in `b` solid orange, in both grey."""
    return _diff_picture(a, b, names).svg()


def genotype_diff_png(
    a: Genotype, b: Genotype, *, names: tuple[str, str] = ("A", "B"), scale: float = 2.0
) -> bytes:
    """The same picture as `genotype_diff_svg`, with `scale` pixels for each of its units."""
    return _diff_picture(a, b, names).png(scale=scale)


def _diff_picture(a: Genotype, b: Genotype, names: tuple[str, str]) -> Picture:
    styles = {
        "both": Style("#8b949e", "#f3f4f6", "in both"),
        "a": Style("#0072b2", "#e3f0f8", f"only in {names[0]}", dashed=True),
        "b": Style("#d55e00", "#fcebdf", f"only in {names[1]}"),
    }
    parts = []
    for (kind, cell_a, concat_a), (_, cell_b, concat_b) in zip(_cells(a), _cells(b), strict=True):
        nodes = max(len(cell_a), len(cell_b)) // 2
        in_a, in_b = (
            Counter(_edges(cell, concat, nodes)) for cell, concat in ((cell_a, concat_a), (cell_b, concat_b))
        )
        marked = {"both": in_a & in_b, "a": in_a - in_b, "b": in_b - in_a}
        edges = [replace(edge, mark=mark) for mark, group in marked.items() for edge in group.elements()]
        counts = Counter(edge.mark for edge in edges if edge.operation)
        summary = ", ".join(f"{counts[mark]} {style.name}" for mark, style in styles.items())
        parts.append((f"{HEADINGS[kind]}: {summary}", layout_edges(edges, nodes)))
    title = f"Difference of {names[0]} and {names[1]}"
    words = ". ".join(text for text, _ in parts) + "."
    return stack(title, words, None, parts, lambda edge: styles[edge.mark], list(styles.values()))


def _cells(genotype: Genotype, which: str = "both") -> list[_Cell]:
    legal = ("both", "normal", "reduce")
    if which not in legal:
        raise UserError(
            f"unknown cell {which!r}; legal: {', '.join(legal)}{nearest(which, legal)}", hint="which='both'"
        )
    normal: _Cell = ("normal", genotype.normal, genotype.normal_concat)
    reduce: _Cell = ("reduce", genotype.reduce, genotype.reduce_concat)
    return [cell for cell in (normal, reduce) if which in ("both", cell[0])]


def _edges(cell: Sequence[tuple[str, int]], concat: Sequence[int], nodes: int) -> list[Edge]:
    operations = [Edge(name, source, i // 2 + 2) for i, (name, source) in enumerate(cell)]
    return operations + [Edge(None, state, nodes + 2) for state in concat]


def _picture(
    genotype: Genotype,
    which: str,
    title: str | None,
    *,
    short: Callable[[str], str] = str,
    spread: float = 1.0,
) -> Picture:
    cells = _cells(genotype, which)
    parts = [
        (HEADINGS[kind], layout(cell, concat, short=short, spread=spread)) for kind, cell, concat in cells
    ]
    used = {operation_kind(name) for _, cell, _ in cells for name, _ in cell}
    return stack(
        title or " and ".join(heading.lower() for heading, _ in parts).capitalize(),
        " ".join(_in_words(*cell) for cell in cells),
        title,
        parts,
        lambda edge: KINDS[operation_kind(edge.operation)] if edge.operation else OUTPUT,
        [style for kind, style in KINDS.items() if kind in used],
    )


def _in_words(kind: str, cell: Sequence[tuple[str, int]], concat: Sequence[int]) -> str:
    states = ["c_{k-2}", "c_{k-1}", *(f"node {i}" for i in range(len(cell) // 2))]
    sums = []
    for node in range(len(cell) // 2):
        pair = sorted(cell[2 * node : 2 * node + 2], key=lambda edge: (edge[1], edge[0]))
        sums.append(f"node {node} = " + " + ".join(f"{name}({states[source]})" for name, source in pair))
    return f"{HEADINGS[kind]}: {'; '.join(sums)}; c_{{k}} = concat({', '.join(states[i] for i in sorted(concat))})."
