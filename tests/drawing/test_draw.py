"""Drawn cells and heat maps: nothing overlaps, equal genotypes give equal bytes, mistakes are named."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from support.drawn import gap, lay_out, overlaps_of_cell, overlaps_of_texts, png_chunks, png_size, sample_wire

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, PUBLISHED, Genotype
from pcdarts_tune.core.genotype import random_genotype as drawn_genotype
from pcdarts_tune.drawing.cells import (
    cell_dot,
    cell_picture,
    cell_svg,
    cells_png,
    draw_genotype,
    genotype_diff_svg,
    operation_kind,
    short_name,
)
from pcdarts_tune.drawing.layout import Box, CellLayout, Edge, Wire, cell_edges, layout_edges
from pcdarts_tune.drawing.picture import Picture, Rectangle, Text, text_width
from pcdarts_tune.drawing.render import render_png
from pcdarts_tune.errors import UserError

SVG = "{http://www.w3.org/2000/svg}"
NAMES = [
    *DARTS_PRIMITIVES[1:],
    "conv_7x1_1x7",
    "f",
    "an_operation_that_someone_registered_under_a_very_long_name_128",
]


def random_genotype(rng: random.Random, nodes: int | None = None) -> Genotype:
    """Any legal genotype, also with nodes that nobody uses and inputs among the outputs."""
    nodes = nodes or rng.randint(1, 7)

    def cell() -> tuple[tuple[str, int], ...]:
        return tuple((rng.choice(NAMES), rng.randrange(i // 2 + 2)) for i in range(2 * nodes))

    def concat() -> tuple[int, ...]:
        return tuple(rng.sample(range(nodes + 2), rng.randint(1, nodes + 2)))

    return Genotype(cell(), concat(), cell(), concat())


def swapped(genotype: Genotype) -> Genotype:
    """The same genotype with the two edges of each node, and the concat, in the other order."""

    def swap(cell: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple(cell[i ^ 1] for i in range(len(cell)))

    concats = genotype.normal_concat[::-1], genotype.reduce_concat[::-1]
    return Genotype(swap(genotype.normal), concats[0], swap(genotype.reduce), concats[1])


def cells(genotype: Genotype) -> list[tuple[tuple[tuple[str, int], ...], tuple[int, ...]]]:
    return [(genotype.normal, genotype.normal_concat), (genotype.reduce, genotype.reduce_concat)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cells_do_not_overlap(name: str) -> None:
    for cell in PUBLISHED[name].graphs():
        edges = cell_edges(cell)
        for spread in (1.0, 3.6):
            assert overlaps_of_cell(layout_edges(edges, cell.states, 2, spread=spread)) == []
        assert overlaps_of_cell(layout_edges(edges, cell.states, 2, short=short_name)) == []


@pytest.mark.parametrize("seed", range(10))
def test_random_cells_do_not_overlap(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(25):
        for cell, concat in cells(random_genotype(rng)):
            drawn = lay_out(cell, concat)
            assert overlaps_of_cell(drawn) == [], (cell, concat)
            assert len(drawn.states) == len(cell) // 2 + 3
            assert [w.edge.operation for w in drawn.wires].count(None) == len(concat)
            assert sorted(w.label.text for w in drawn.wires if w.label) == sorted(name for name, _ in cell)


def test_random_differences_do_not_overlap() -> None:
    rng = random.Random(0)
    for _ in range(30):
        a, b = random_genotype(rng, 4), random_genotype(rng, 5)
        edges = [
            Edge(n, p, i // 2 + 2, m)
            for c, m in ((a.normal, "a"), (b.normal, "b"))
            for i, (n, p) in enumerate(c)
        ]
        assert overlaps_of_cell(layout_edges([*edges, Edge(None, 6, 7)], b.graphs()[0].states, 2)) == []


def test_wires_join_their_states_and_run_through_their_labels() -> None:
    for cell, concat in cells(PUBLISHED["AmoebaNet"]):
        drawn = lay_out(cell, concat)
        for wire in drawn.wires:
            source, target = drawn.states[wire.edge.source], drawn.states[wire.edge.target]
            (x0, y0), (x1, y1) = wire.points[0], wire.points[-1]
            assert x0 == pytest.approx(source.x + source.width, abs=0.1)
            assert source.y < y0 < source.y + source.height
            assert x1 == pytest.approx(target.x, abs=0.1)
            assert target.y < y1 < target.y + target.height
            assert (len(wire.points) - 1) % 3 == 0
            assert all(a[0] <= b[0] for a, b in zip(sample_wire(wire), sample_wire(wire)[1:], strict=False))
            if wire.label is not None:
                assert wire.label.centre[1] in [pytest.approx(y, abs=0.11) for _, y in sample_wire(wire)]


def test_overlaps_are_found() -> None:
    states = (
        Box(0, 0, 10, 10, "x"),
        Box(0, 40, 10, 10, "y"),
        Box(100, 0, 10, 10, "0"),
        Box(150, 0, 10, 10, "c"),
    )
    line = ((10.0, 5.0), (40.0, 5.0), (70.0, 5.0), (100.0, 5.0))
    edge, label = Edge("op", 0, 2), Box(40, 0, 20, 10, "op")
    assert overlaps_of_cell(CellLayout(200, 60, states, (Wire(edge, line, label),), 2)) == []
    second = Wire(Edge("f", 0, 2), line, Box(55, 2, 20, 10, "f"))
    found = overlaps_of_cell(CellLayout(200, 60, states, (Wire(edge, line, label), second), 2))
    assert "op and f" in found
    assert any(text.startswith("op and the edge") for text in found)
    assert overlaps_of_cell(CellLayout(155, 60, states, (), 2)) == ["c leaves the drawing"]


def test_two_equal_edges_are_both_drawn() -> None:
    drawn = lay_out(PUBLISHED["NASNet"].normal, PUBLISHED["NASNet"].normal_concat)
    twins = [w.label for w in drawn.wires if w.edge == Edge("avg_pool_3x3", 0, 5)]
    assert len(twins) == 2
    assert twins[0] != twins[1]


def test_text_fits_its_box() -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for name in [*NAMES, "sep 3×3", "WWWW@@%%", "iiii"]:
        drawn = TextPath((0, 0), name, size=13, prop=FontProperties(family="DejaVu Sans")).get_extents().width
        assert drawn <= text_width(name, 13) + 0.5
    label = lay_out((("WWWW", 0), ("iiii", 1))).wires[0].label
    assert label is not None
    assert label.width >= text_width("WWWW", 13) + 10


@pytest.mark.parametrize("cell", [(), (("f", 0),), (("f", 0), ("f", 2)), (("f", -1), ("f", 0))])
def test_layout_refuses_what_is_no_cell(cell: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match=r"node|earlier"):
        lay_out(cell)


@pytest.mark.parametrize("name", PUBLISHED)
def test_svg_is_self_contained_and_says_what_it_shows(name: str) -> None:
    genotype = PUBLISHED[name]
    text = cell_svg(genotype)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.findtext(f"{SVG}title")
    assert "node 0 = " in (root.findtext(f"{SVG}desc") or "")
    assert "href" not in text
    assert "url(" not in text
    assert not re.search(r"\bid=", text)
    written = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
    for cell, _ in cells(genotype):
        for operation, _ in cell:
            assert operation in written
    boxes = [
        Box(*(float(r.get(k, 0)) for k in ("x", "y", "width", "height")), "")
        for r in list(root.iter(f"{SVG}rect"))[1:]
    ]
    assert all(gap(a, b) > 0 for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert all(b.x >= 0 and b.x + b.width <= float(root.get("width", 0)) for b in boxes)


def test_names_are_escaped() -> None:
    name = '</text><script>"&\\\x07\ud800'
    genotype = Genotype(((name, 0), ("f", 1)), (2,), (("f", 0), (name, 1)), (2,))
    root = ElementTree.fromstring(cell_svg(genotype, title="a <b> & c").encode())
    assert not list(root.iter(f"{SVG}script"))
    assert any('</text><script>"&\\' in "".join(node.itertext()) for node in root.iter(f"{SVG}text"))
    assert '\\"&\\\\' in cell_dot(genotype)
    assert render_png(cell_picture(genotype), 2.0).startswith(b"\x89PNG")


def test_equal_genotypes_give_equal_bytes() -> None:
    rng = random.Random(3)
    for genotype in (PUBLISHED["PC_DARTS_cifar"], random_genotype(rng, 5)):
        other = swapped(genotype)
        assert other.canonical_hash() == genotype.canonical_hash()
        for draw in (cell_svg, cell_dot, cells_png):
            assert draw(genotype) == draw(genotype) == draw(other)


def test_another_process_draws_the_same_bytes() -> None:
    code = (
        "import hashlib; from pcdarts_tune.drawing.cells import *; from pcdarts_tune.core.genotype import PUBLISHED;"
        "g = PUBLISHED['NASNet']; print(hashlib.sha256(cell_svg(g).encode() + cells_png(g)).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_png_holds_no_metadata_and_the_card_is_nearly_square() -> None:
    for genotype in PUBLISHED.values():
        data = cells_png(genotype, title="trial 3")
        assert png_chunks(data) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
        width, height = png_size(data)
        assert 1190 <= width <= 1210
        assert 0.9 < width / height < 1.11


def test_a_huge_cell_still_becomes_a_picture() -> None:
    genotype = Genotype((("x" * 2000, 0), ("f", 1)), (2,), (("f", 0), ("f", 1)), (2,))
    assert max(png_size(render_png(cell_picture(genotype), 2.0))) <= 12001


def test_dot_has_every_edge() -> None:
    dot = cell_dot(PUBLISHED["AmoebaNet"])
    assert dot.count("->") == 10 + 3 + 10 + 3
    assert dot.count("{") == dot.count("}")
    assert 'normal_2 -> normal_3 [label="sep_conv_5x5"' in dot


def test_difference_counts_edges() -> None:
    a, b = PUBLISHED["PC_DARTS_cifar"], PUBLISHED["DARTS_V2"]
    text = genotype_diff_svg(a, b, names=("mine", "DARTS_V2"))
    assert "Normal cell: 3 in both, 5 only in mine, 5 only in DARTS_V2" in text
    ElementTree.fromstring(text)
    assert "8 in both, 0 only in A, 0 only in B" in genotype_diff_svg(a, swapped(a))
    nasnet = genotype_diff_svg(PUBLISHED["NASNet"], a)  # 5 nodes against 4, one edge twice
    assert "Normal cell: 2 in both, 8 only in A, 6 only in B" in nasnet


def test_kinds_and_short_names() -> None:
    kinds = {
        "sep_conv_3x3": "separable",
        "dil_conv_5x5": "dilated",
        "avg_pool_3x3": "pooling",
        "skip_connect": "skip",
    }
    for name, kind in {**kinds, "conv_7x1_1x7": "other"}.items():
        assert operation_kind(name) == kind
    assert [short_name(n) for n in ("sep_conv_3x3", "max_pool_3x3", "skip_connect", "conv_7x1_1x7", "my_op")] == [
        "sep 3×3", "max 3×3", "skip", "conv 7×1 1×7", "my_op",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".dot", ".SVG"])
def test_draw_writes_by_suffix(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"cells{suffix}"
    target.write_bytes(b"old")
    assert draw_genotype(PUBLISHED["DARTS_V2"], target, which="reduce") == target
    content = target.read_bytes()
    assert content[:4] in (b"<svg", b"\x89PNG", b"%PDF", b"digr")
    assert b"Normal cell" not in content
    assert os.listdir(tmp_path) == [target.name]


def test_draw_names_mistakes(tmp_path: Path) -> None:
    genotype = PUBLISHED["DARTS_V2"]
    with pytest.raises(UserError, match=r"\.svg, \.png, \.pdf, \.dot.*did you mean '\.svg'"):
        draw_genotype(genotype, tmp_path / "cells.svgg")
    with pytest.raises(UserError, match=r"must end in \.svg"):
        draw_genotype(genotype, tmp_path / "cells")
    with pytest.raises(UserError, match="legal: both, normal, reduce"):
        draw_genotype(genotype, tmp_path / "cells.svg", which="reduction")
    with pytest.raises(UserError, match=r"cannot write .*No such file or directory"):
        draw_genotype(genotype, tmp_path / "missing" / "cells.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        draw_genotype(genotype, tmp_path / "folder.svg")
    assert os.listdir(tmp_path) == ["folder.svg"]


def test_matplotlib_and_scipy_are_imported_late() -> None:
    code = "import sys, pcdarts_tune.drawing.cells; sys.exit(bool({'matplotlib', 'scipy'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def text_extents(picture: Picture) -> list[Box]:
    """What matplotlib's texts really cover in the PNG, in the picture's units."""
    figure = render_png.__wrapped__(picture, 2.0)  # type: ignore[attr-defined]
    FigureCanvasAgg(figure)
    renderer = figure.canvas.get_renderer()
    boxes = []
    for text in figure.axes[0].texts:
        extent = text.get_window_extent(renderer)
        x, y = extent.x0 / 2, picture.height - extent.y1 / 2
        boxes.append(Box(x, y, extent.width / 2, extent.height / 2, text.get_text()))
    return boxes


@pytest.mark.parametrize("name", [*PUBLISHED, *(f"random {seed}" for seed in range(20))])
def test_no_text_of_a_drawing_touches_another(name: str) -> None:
    genotype = PUBLISHED[name] if name in PUBLISHED else drawn_genotype(int(name.split()[1]))
    picture = cell_picture(genotype, title=name)
    assert overlaps_of_texts(picture) == []
    # the PNG is drawn by another writer: its own texts, as large as they came out
    boxes = text_extents(picture)
    assert len(boxes) == sum(isinstance(shape, Text) for shape in picture.shapes)
    for i, box in enumerate(boxes):
        assert [other.text for other in boxes[i + 1 :] if gap(box, other) < 0] == []
        assert box.x >= -0.5
        assert box.x + box.width <= picture.width + 0.5
    for shape in (shape for shape in picture.shapes if isinstance(shape, Rectangle) and shape.height > 20):
        inside = [box for box in boxes if shape.x < box.x + box.width / 2 < shape.x + shape.width]
        for box in (box for box in inside if shape.y < box.y + box.height / 2 < shape.y + shape.height):
            assert shape.x <= box.x, "a label stays inside its box"
            assert box.x + box.width <= shape.x + shape.width


def test_texts_that_touch_are_found() -> None:
    texts = [Text(30, 20, "one", 13), Text(40, 22, "two", 13), Text(95, 50, "far", 13)]
    assert overlaps_of_texts(Picture(100, 100, "", "", texts)) == [
        "'one' and 'two'",
        "'far' leaves the picture",
    ]
