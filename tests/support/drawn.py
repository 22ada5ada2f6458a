"""What tests look at in drawings: what touches what, the parts and the size of a PNG."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.drawing.layout import Box, CellLayout, Wire, cell_edges, layout_edges
from pcdarts_tune.drawing.picture import Picture, Point, Text, text_width

CLEARANCE = 2.0
"""Free space, in pixels, between the boxes of a cell."""


def lay_out(cell: Sequence[tuple[str, int]], concat: Sequence[int] | None = None) -> CellLayout:
    """One cell of a genotype, laid out; all nodes are the output where `concat` is None."""
    nodes = len(cell) // 2
    all_nodes = tuple(range(2, nodes + 2)) if concat is None else tuple(concat)
    graph = Genotype(tuple(cell), all_nodes, tuple(cell), all_nodes).graphs()[0]
    return layout_edges(cell_edges(graph), graph.states, len(graph.inputs))


def gap(box: Box, other: Box) -> float:
    """Free space between two boxes; negative where they overlap."""
    across = max(other.x - box.x - box.width, box.x - other.x - other.width)
    down = max(other.y - box.y - box.height, box.y - other.y - other.height)
    return max(across, down)


def sample_wire(wire: Wire, steps: int = 12) -> list[Point]:
    """Points on the curve, `steps` a Bezier segment."""
    found = [wire.points[0]]
    for i in range(0, len(wire.points) - 1, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = wire.points[i : i + 4]
        for step in range(1, steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
            found.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return found


def overlaps_of_cell(cell: CellLayout) -> list[str]:
    """What touches what: boxes closer than 2 px, edges that run through a foreign label or node, parts outside."""
    owners = [(box, None) for box in cell.states] + [(wire.label, wire) for wire in cell.wires if wire.label]
    found = []
    for i, (box, owner) in enumerate(owners):
        if box.x < 0 or box.y < 0 or box.x + box.width > cell.width or box.y + box.height > cell.height:
            found.append(f"{box.text} leaves the drawing")
        found += [
            f"{box.text} and {other.text}" for other, _ in owners[i + 1 :] if gap(box, other) < CLEARANCE
        ]
        for wire in cell.wires:
            ends = (cell.states[wire.edge.source], cell.states[wire.edge.target])
            if wire is not owner and box not in ends and any(_inside(p, box) for p in sample_wire(wire)):
                found.append(f"{box.text} and the edge {wire.edge}")
    return found


def _inside(point: Point, box: Box) -> bool:
    across = box.x - CLEARANCE < point[0] < box.x + box.width + CLEARANCE
    return across and box.y - CLEARANCE < point[1] < box.y + box.height + CLEARANCE


def overlaps_of_texts(picture: Picture) -> list[str]:
    """Texts that touch each other or leave the picture."""
    found: list[str] = []
    boxes: list[Box] = []
    for text in (shape for shape in picture.shapes if isinstance(shape, Text)):
        plain = text.text.replace("_{", "").replace("}", "")
        width = text_width(plain, text.size) * (1.18 if text.bold else 1.0)
        left = text.x - (width / 2 if text.anchor == "middle" else 0.0)
        box = Box(left, text.y - text.size / 2, width, text.size, plain)
        if box.x < 0 or box.y < 0 or box.x + width > picture.width or box.y + box.height > picture.height:
            found.append(f"{text.text!r} leaves the picture")
        found += [f"{other.text!r} and {text.text!r}" for other in boxes if gap(box, other) < 0]
        boxes.append(box)
    return found


def png_chunks(data: bytes) -> set[bytes]:
    """The kinds of a PNG's chunks."""
    kinds, at = set(), 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.add(data[at + 4 : at + 8])
        at += 12 + length
    return kinds


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    return struct.unpack(">II", data[16:24])
