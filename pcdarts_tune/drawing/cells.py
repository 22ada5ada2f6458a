"""Genotypes as pictures: their cells as SVG, PNG, PDF or DOT, without the graphviz program.

Colour says the kind of an operation, in the palette of Okabe and Ito, which colour-blind readers tell apart.

    >>> draw_genotype(PUBLISHED["PC_DARTS_cifar"], "cells.svg")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import FAMILIES, AnyGenotype, CellGraph, Family, edge_places, node_count
from pcdarts_tune.drawing.layout import CellLayout, Edge, cell_edges, layout_edges
from pcdarts_tune.drawing.picture import (
    INK,
    Curve,
    Picture,
    Polygon,
    Rectangle,
    Shape,
    Text,
    moved,
    text_width,
)
from pcdarts_tune.drawing.render import render_pdf, render_png, render_svg
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import write_output

SUFFIXES = (".svg", ".png", ".pdf", ".dot")

_DOT_INDEX, _DOT_NAME = re.compile(r"c_\{(.*)\}"), r"<<I>c</I><SUB>\1</SUB>>"
_MARGIN, _HEADING, _LINE = 16.0, 34.0, 22.0
_BOLD = 1.18  # how much wider than text_width bold type is


@dataclass(frozen=True)
class Style:
    """How an edge and its label are painted, and what the legend calls that."""

    colour: str
    tint: str
    name: str
    dashed: bool = False


KINDS = {
    "convolution": Style("#0072b2", "#e3f0f8", "convolution"),
    "separable": Style("#0072b2", "#e3f0f8", "separable convolution"),
    "dilated": Style("#d55e00", "#fcebdf", "dilated convolution"),
    "pooling": Style("#009e73", "#e0f3ed", "pooling"),
    "skip": Style("#d39200", "#fdf3dc", "skip connection"),
    "none": Style("#8b949e", "#f3f4f6", "no connection", dashed=True),
    "other": Style("#a8568a", "#f7eaf2", "other operation"),
}
OUTPUT = Style("#a3a8ae", "#ffffff", "concatenated into the output")
_SIGNS = {
    "nor_": "convolution",
    "sep_": "separable",
    "dil_": "dilated",
    "pool": "pooling",
    "skip": "skip",
    "identity": "skip",
}


def operation_kind(operation: str) -> str:
    """What an operation is coloured as, by its name: a key of `KINDS`."""
    return (
        "none"
        if operation == "none"
        else next((kind for sign, kind in _SIGNS.items() if sign in operation), "other")
    )


def short_name(operation: str) -> str:
    """`sep_conv_3x3` -> `sep 3×3`, for small pictures; a name of another form stays as it is."""
    if operation == "skip_connect":
        return "skip"
    found = re.fullmatch(r"(?:(sep|dil)_conv|(max|avg)_pool|(?:nor_)?(conv))((?:_\d+x\d+)+)", operation)
    if found is None:
        return operation
    return (found[1] or found[2] or found[3]) + found[4].replace("_", " ").replace("x", "×")


def plain_state(name: str) -> str:
    """`c_{k-2}` -> `c(k-2)`."""
    return name.replace("_{", "(").replace("}", ")")


def name_edges(
    edges: int, family: Family = FAMILIES["darts"], write: Callable[[str], str] = plain_state
) -> list[str]:
    """Names of the edges of a cell in the order of the rows of alpha: `c(k-2) → 0`, …, `2 → 3`. Raises
    ValueError: when so many edges fit no cell."""
    nodes = node_count(edges, len(family.inputs))
    numbers = range(family.first_node, family.first_node + nodes)
    states = [*map(write, family.inputs), *map(str, numbers)]
    return [
        f"{states[source]} → {states[target]}" for source, target in edge_places(nodes, len(family.inputs))
    ]


def select_edges(
    weights: Any, primitives: Sequence[str], family: Family = FAMILIES["darts"]
) -> set[tuple[int, int]]:
    """(edge, operation) of what a genotype takes, by `weights`, (E, O), or (E, O + 1) with betas in the last column."""
    if not set(primitives) - {"none"}:
        return set()
    count = len(primitives)
    strength = weights[:, :count]
    if weights.shape[1] > count:
        strength = strength * weights[:, -1:]
    return set(family.choose(strength.tolist(), primitives))


def draw_genotype(genotype: AnyGenotype, path: str | os.PathLike[str], *, which: str = "both") -> Path:
    """Write the cells to `path`, whose suffix says how; a file that was there is replaced whole or not at
    all. Raises UserError: for an unknown suffix or cell, or a folder that cannot be written to."""
    target = Path(path)
    picture, suffix = cell_picture(genotype, which=which), target.suffix.lower()
    if suffix == ".svg":
        content = render_svg(picture).encode()
    elif suffix == ".png":
        content = render_png(picture, 2.0)
    elif suffix == ".pdf":
        content = render_pdf(picture)
    elif suffix == ".dot":
        content = cell_dot(genotype, which=which).encode()
    else:
        message = f"cannot tell from {target.name!r} what to draw; the name must end in {', '.join(SUFFIXES)}"
        raise UserError(message + nearest(suffix, SUFFIXES), hint=f"try {target.with_suffix('.svg').name}")
    write_output(target, content)
    return target


def cell_picture(
    genotype: AnyGenotype,
    *,
    which: str = "both",
    title: str | None = None,
    heading: str | None = None,
    short: Callable[[str], str] = str,
    spread: float = 1.0,
) -> Picture:
    """The cells as a picture.

    Args:
        title: what a screen reader calls it.
        heading: a line drawn above the cells.
        short: what to write for an operation's name.
        spread: factor on the space between rows.

    Raises:
        UserError: for an unknown cell.
    """
    cells = _cells(genotype, which)
    parts = [
        (name, layout_edges(cell_edges(cell), cell.states, len(cell.inputs), short=short, spread=spread))
        for name, cell in cells.items()
    ]
    used = {operation_kind(edge.operation) for cell in cells.values() for edge in cell.edges}
    return _stack(
        title or heading or " and ".join(text.lower() for text, _ in parts).capitalize(),
        " ".join(_in_words(*cell) for cell in cells.items()),
        heading,
        parts,
        lambda edge: KINDS[operation_kind(edge.operation)] if edge.operation else OUTPUT,
        [style for kind, style in KINDS.items() if kind in used],
    )


def cell_svg(genotype: AnyGenotype, *, which: str = "both", title: str | None = None) -> str:
    """One self-contained <svg> element with a title and a description in words; fit for a file or an HTML page."""
    return render_svg(cell_picture(genotype, which=which, title=title))


def cells_png(genotype: AnyGenotype, *, title: str | None = None) -> bytes:
    """All cells in a nearly square picture with short operation names, readable on a small card (1200 pixels wide)."""
    spreads = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.6)
    pictures = [cell_picture(genotype, heading=title, short=short_name, spread=spread) for spread in spreads]
    best = min(pictures, key=lambda picture: abs(picture.height - picture.width))
    side = max(best.width, 0.94 * best.height)
    return render_png(best.padded(side, max(best.height, 0.94 * side)), 1200 / side)


def cell_dot(genotype: AnyGenotype, *, which: str = "both") -> str:
    """The cells in the DOT language, for those who have graphviz or want to edit the graph."""
    lines = ["digraph genotype {", "  rankdir=LR;", '  edge [fontname="Helvetica"];']
    lines += ['  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica"];']
    for heading, cell in _cells(genotype, which).items():
        kind = cell.kind
        lines += [f"  subgraph cluster_{kind} {{", f'    label="{heading}"; color="#ffffff";']
        for state, name in enumerate(cell.states):
            lines.append(f"    {kind}_{state} [label={_DOT_INDEX.sub(_DOT_NAME, name)}];")
        for edge in cell_edges(cell):
            look = f'color="{OUTPUT.colour}"'
            if edge.operation:
                name = edge.operation.replace("\\", "\\\\").replace('"', '\\"')
                look = f'label="{name}", color="{KINDS[operation_kind(edge.operation)].colour}"'
            lines.append(f"    {kind}_{edge.source} -> {kind}_{edge.target} [{look}];")
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def genotype_diff_svg(a: AnyGenotype, b: AnyGenotype, *, names: tuple[str, str] = ("A", "B")) -> str:
    """Both genotypes in one drawing: edges only in `a` dashed blue, only in `b` solid orange, in both grey."""
    return render_svg(_diff_picture(a, b, names))


def genotype_diff_png(a: AnyGenotype, b: AnyGenotype, *, names: tuple[str, str] = ("A", "B")) -> bytes:
    """The same picture as `genotype_diff_svg`, with two pixels for each of its units."""
    return render_png(_diff_picture(a, b, names), 2.0)


def _diff_picture(a: AnyGenotype, b: AnyGenotype, names: tuple[str, str]) -> Picture:
    styles = {
        "both": Style("#8b949e", "#f3f4f6", "in both"),
        "a": Style("#0072b2", "#e3f0f8", f"only in {names[0]}", dashed=True),
        "b": Style("#d55e00", "#fcebdf", f"only in {names[1]}"),
    }
    parts = []
    if a.family != b.family:
        raise UserError(
            f"{names[0]} is a cell of {FAMILIES[a.family].title}, {names[1]} one of {FAMILIES[b.family].title}: "
            "they have no edges in common",
            hint="draw each of them",
        )
    for (heading, cell_a), cell_b in zip(_cells(a).items(), _cells(b).values(), strict=True):
        larger = max(cell_a, cell_b, key=lambda cell: len(cell.nodes))
        in_a = Counter(cell_edges(cell_a, len(larger.nodes)))
        in_b = Counter(cell_edges(cell_b, len(larger.nodes)))
        marked = {"both": in_a & in_b, "a": in_a - in_b, "b": in_b - in_a}
        edges = [replace(edge, mark=mark) for mark, group in marked.items() for edge in group.elements()]
        counts = Counter(edge.mark for edge in edges if edge.operation)
        summary = ", ".join(f"{counts[mark]} {style.name}" for mark, style in styles.items())
        parts.append((f"{heading}: {summary}", layout_edges(edges, larger.states, len(larger.inputs))))
    title = f"Difference of {names[0]} and {names[1]}"
    words = ". ".join(text for text, _ in parts) + "."
    return _stack(title, words, None, parts, lambda edge: styles[edge.mark], list(styles.values()))


def _cells(genotype: AnyGenotype, which: str = "both") -> dict[str, CellGraph]:
    """The cells by their headings."""
    family = FAMILIES[genotype.family]
    legal = ("both", *family.kinds)
    if which not in legal:
        raise UserError(
            f"unknown cell {which!r}; legal: {', '.join(legal)}{nearest(which, legal)}", hint="which='both'"
        )
    return {family.kinds[cell.kind]: cell for cell in genotype.graphs() if which in ("both", cell.kind)}


def _in_words(heading: str, cell: CellGraph) -> str:
    names = [f"node {name}" if name.isdigit() else name for name in cell.states]
    sums = [
        f"{names[target]} = " + " + ".join(f"{edge.operation}({names[edge.source]})" for edge in edges)
        for target, edges in cell.sums().items()
    ]
    if cell.concat:
        sums.append(f"{cell.output} = concat({', '.join(names[i] for i in sorted(cell.concat))})")
    return f"{heading}: {'; '.join(sums)}."


def _stack(
    title: str,
    description: str,
    heading: str | None,
    parts: Sequence[tuple[str, CellLayout]],
    style: Callable[[Edge], Style],
    legend: Sequence[Style],
) -> Picture:
    """Cells one above the other, each under its heading, and the legend below."""
    widths = [cell.width for _, cell in parts] + [_BOLD * text_width(text, 15) for text, _ in parts]
    widths += [_BOLD * text_width(heading or "", 17)] + [30 + text_width(entry.name, 12) for entry in legend]
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
        if (label := wire.label) is not None:
            paint = style(wire.edge)
            box = (label.x, label.y, label.width, label.height, paint.tint, paint.colour)
            shapes += [Rectangle(*box, 1.4, 7, paint.dashed), Text(*label.centre, label.text, 13)]
    for state, at in enumerate(cell.states):
        fill, radius = ("#ffffff", 9) if cell.inputs <= state < len(cell.states) - 1 else ("#e9ecef", 5)
        box = (at.x, at.y, at.width, at.height, fill, INK)
        shapes += [Rectangle(*box, 1.5, radius), Text(*at.centre, at.text, 15)]
    return shapes
