"""Families of cells: genotypes of each are read, written, derived and drawn at random by the same functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.drawn import overlaps_of_cell

from pcdarts_tune.core.genotype import (
    FAMILIES,
    NASBENCH201_PRIMITIVES,
    PUBLISHED,
    NasBench201Genotype,
    derive,
    family_of_kinds,
    random_genotype,
    read_genotype,
)
from pcdarts_tune.drawing.cells import cell_dot, draw_genotype
from pcdarts_tune.drawing.layout import cell_edges, layout_edges

ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"


@pytest.mark.parametrize("family", FAMILIES)
def test_genotypes_of_all_families_are_read_and_written_alike(family: str) -> None:
    for seed in range(20):
        genotype = random_genotype(seed, family=family)
        assert genotype.family == family
        assert genotype == random_genotype(seed, family=family) != random_genotype(seed + 100, family=family)
        read = read_genotype(genotype.to_dict())
        assert (read, read.canonical_hash()) == (genotype, genotype.canonical_hash())
        kinds = [cell.kind for cell in genotype.graphs()]
        assert kinds == list(FAMILIES[family].kinds)
        assert family_of_kinds(kinds).name == family
        kept = sum(len(cell.edges) for cell in genotype.graphs())
        assert kept == len(kinds) * FAMILIES[family].kept_edges(4)


def test_the_string_of_nasbench201_goes_there_and_back() -> None:
    genotype = read_genotype(ARCH)
    assert isinstance(genotype, NasBench201Genotype)
    assert (genotype.arch, genotype.to_dict(), str(genotype)) == (ARCH, {"arch": ARCH}, ARCH)
    assert genotype.skip_connections == 2
    (cell,) = genotype.graphs()
    assert [tuple(edge) for edge in cell.edges][2:4] == [("avg_pool_3x3", 1, 2), ("skip_connect", 0, 3)]
    swapped = ARCH.replace("|nor_conv_3x3~0|avg_pool_3x3~1|", "|avg_pool_3x3~1|nor_conv_3x3~0|")
    assert read_genotype(swapped) == genotype
    assert len({random_genotype(seed, family="nasbench201") for seed in range(400)}) > 380
    drawn = {name for seed in range(100) for name in random_genotype(seed, family="nasbench201").operations}
    assert drawn == set(NASBENCH201_PRIMITIVES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("|none~0|", "lists nodes 1, 2 and 3.*this has 1"),
        (ARCH + "+|none~0|none~1|none~2|none~3|", "this has 4"),
        (ARCH.replace("|nor_conv_3x3~0|+|", "|nor_conv_3x3~0+|", 1), "node 1 must be .operation~0"),
        (ARCH.replace("avg_pool_3x3~1", "avg_pool_3x3~2"), "node 2: .*one of 0..1"),
        (ARCH.replace("avg_pool_3x3~1", "avg_pool_3x3~0"), "node 2: two operations from node 0"),
        (
            ARCH.replace("avg_pool_3x3~1", "avg_pool~1"),
            "node 2, from node 1: unknown operation 'avg_pool'; legal",
        ),
        (ARCH.replace("|skip_connect~2|", "|"), "node 3 must have an operation from each node"),
        ({"arch": 3}, "arch must be a string"),
        ({"arch": ARCH, "normal": []}, "unknown: normal"),
        (["|"], "a genotype is a JSON object.*this is a list"),
    ],
)
def test_bad_cells_of_nasbench201_are_named(text: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_genotype(text)


def test_nasbench201_takes_the_strongest_operation_of_every_edge() -> None:
    family = FAMILIES["nasbench201"]
    alpha = torch.full((6, 5), -1.0)
    chosen = [0, 4, 1, 3, 2, 0]
    alpha[range(6), chosen] = 0.0
    names = tuple(NASBENCH201_PRIMITIVES[o] for o in chosen)
    for beta in (None, torch.tensor([0.0, 5.0, -5.0, 3.0, -2.0, 1.0])):
        assert derive(family, {"cell": alpha}, {"cell": beta}) == NasBench201Genotype(names)
    tie = derive(family, {"cell": torch.zeros(6, 5)}, {"cell": None})
    assert tie == NasBench201Genotype(("none",) * 6)
    with pytest.raises(ValueError, match="has 6 edges; got 10"):
        derive(family, {"cell": torch.zeros(10, 5)}, {"cell": None})
    with pytest.raises(ValueError, match=r"alpha_cell must be \(edges, 5\)"):
        derive(family, {"cell": torch.zeros(6, 8)}, {"cell": None})


def test_a_cell_of_nasbench201_is_drawn(tmp_path: Path) -> None:
    for seed in range(20):
        (cell,) = random_genotype(seed, family="nasbench201").graphs()
        drawn = layout_edges(cell_edges(cell), cell.states, len(cell.inputs))
        assert overlaps_of_cell(drawn) == []
        assert [box.text for box in drawn.states] == ["0", "1", "2", "3"]
        assert sum(wire.label is not None for wire in drawn.wires) == 6
    genotype = read_genotype(ARCH)
    text = draw_genotype(genotype, tmp_path / "cell.svg").read_text()
    assert "node 3 = skip_connect(node 0) + nor_conv_3x3(node 1) + skip_connect(node 2)" in text
    assert cell_dot(genotype).count(" -> ") == 6
    assert draw_genotype(genotype, tmp_path / "cell.png").stat().st_size > 5000


def test_edges_lead_to_the_output_or_not() -> None:
    assert all(cell.reads_everything() for cell in PUBLISHED["PC_DARTS_cifar"].graphs())
    everything = read_genotype(ARCH).graphs()[0]
    assert everything.reads_everything()
    unread = ARCH.replace("nor_conv_3x3~1", "none~1").replace("avg_pool_3x3~1", "none~1")
    assert not read_genotype(unread).graphs()[0].reads_everything()
