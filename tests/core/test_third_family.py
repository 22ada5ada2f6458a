"""A family of cells that the package does not have, added from outside: the seam is wide enough for all that follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core import genotype as door
from pcdarts_tune.core.architect import Architect
from pcdarts_tune.core.cells.graph import CellGraph, GraphEdge, Table, edge_places, node_count, node_slices
from pcdarts_tune.core.fast.cell import FastCell
from pcdarts_tune.core.mixing import MixedOp
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.ops import build_operation
from pcdarts_tune.core.skeletons.plan import CellPlan, Searched
from pcdarts_tune.core.skeletons.registry import SKELETONS, register_skeleton
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet
from pcdarts_tune.drawing.alphas import alphas_png
from pcdarts_tune.drawing.cells import draw_genotype
from pcdarts_tune.lineage.describe import genotype_lines
from pcdarts_tune.spaces.space import Space

OPERATIONS = ("none", "skip_connect", "sep_conv_3x3")


@dataclass(frozen=True)
class Tree:
    """Each node has one edge."""

    edges: tuple[tuple[str, int], ...]
    family: ClassVar[str] = "tree"

    @property
    def skip_connections(self) -> int:
        return [name for name, _ in self.edges].count("skip_connect")

    def to_dict(self) -> dict[str, Any]:
        return {"tree": [list(edge) for edge in self.edges]}

    def canonical_hash(self) -> str:
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()[:16]

    def graphs(self) -> tuple[CellGraph]:
        count = len(self.edges)
        edges = tuple(GraphEdge(name, source, 1 + i) for i, (name, source) in enumerate(self.edges))
        return (CellGraph("tree", ("x",), tuple(map(str, range(count - 1))), "y", edges),)


class TreeFamily:
    name, title = "tree", "Trees"
    kinds: Mapping[str, str] = {"tree": "Tree"}
    inputs: tuple[str, ...] = ("x",)
    first_node = 0
    fixed_nodes: int | None = None
    primitives: tuple[str, ...] = OPERATIONS
    stems: tuple[str, ...] = ("cifar",)
    auxiliary = True
    skips_in = "tree"

    def kept_edges(self, nodes: int) -> int:
        return nodes

    def recognizes(self, value: object) -> bool:
        return isinstance(value, Mapping) and "tree" in value

    def read(self, value: Any) -> Tree:
        return Tree(tuple((name, source) for name, source in value["tree"]))

    def random(self, seed: int, nodes: int, primitives: Sequence[str]) -> Tree:
        return Tree(tuple((primitives[(seed + i) % len(primitives)], i) for i in range(nodes)))

    def choose(self, strength_EO: Table, primitives: Sequence[str]) -> list[tuple[int, int]]:
        found = []
        for rows in node_slices(node_count(len(strength_EO), 1), 1):
            pairs = [(e, o) for e in range(rows.start, rows.stop) for o in range(1, len(primitives))]
            found.append(max(pairs, key=lambda pair: strength_EO[pair[0]][pair[1]]))
        return found

    def assemble(self, cells: Mapping[str, Sequence[GraphEdge]], nodes: int) -> Tree:
        return Tree(tuple((edge.operation, edge.source) for edge in cells["tree"]))


class TreeCell(nn.Module):
    def __init__(self, plan: CellPlan, given: Searched) -> None:
        super().__init__()
        self.places = edge_places(given.nodes, 1)
        self._ops = nn.ModuleList(
            MixedOp(plan.channels, 1, given.k, given.primitives, given.mixing) for _ in self.places
        )

    def forward(self, s0: Tensor, s1: Tensor, alphas_EO: Tensor, betas_E: Tensor | None) -> Tensor:
        states = [s1]
        for target in range(1, self.places[-1][1] + 1):
            into = [(e, source) for e, (source, at) in enumerate(self.places) if at == target]
            weights = [1.0] * len(self.places) if betas_E is None else betas_E
            states.append(sum(weights[e] * self._ops[e](states[s], alphas_EO[e], None) for e, s in into))  # type: ignore[arg-type]
        return states[-1]


class DerivedTree(nn.Module):
    def __init__(self, plan: CellPlan, tree: Tree) -> None:
        super().__init__()
        self.sources = [source for _, source in tree.edges]
        self._ops = nn.ModuleList(
            build_operation(name, plan.channels, 1, affine=True) for name, _ in tree.edges
        )

    def forward(self, s0: Tensor, s1: Tensor, keep: Tensor | None) -> Tensor:
        states = [s1]
        for operation, source in zip(self._ops, self.sources, strict=True):
            states.append(operation(states[source]))
        return states[-1]


class TreeSkeleton:
    rectified = False

    def plan_search(self, channels: int, layers: int, stem: str, nodes: int) -> list[CellPlan]:
        return [CellPlan("tree", channels, channels, channels, channels, False, False) for _ in range(layers)]

    def plan_evaluation(
        self, channels: int, layers: int, stem: str, genotype: door.AnyGenotype
    ) -> list[CellPlan]:
        return self.plan_search(channels, layers, stem, 0)

    def textbook_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        return TreeCell(plan, searched)

    def fast_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        return FastCell(plan, searched, searched.nodes)

    def derived_layer(self, plan: CellPlan, genotype: door.AnyGenotype) -> nn.Module:
        assert isinstance(genotype, Tree)
        return DerivedTree(plan, genotype)

    def ending(self, channels: int) -> None:
        """Nothing."""


@pytest.fixture
def family() -> Iterator[TreeFamily]:
    made = TreeFamily()
    door.register_family(made)
    register_skeleton("tree", TreeSkeleton())
    yield made
    del door.FAMILIES["tree"], SKELETONS["tree"]


def test_a_third_family_is_searched_derived_evaluated_and_drawn(family: TreeFamily, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"channels": 8, "layers": 3, "k": 2, "nodes": 3, "family": "tree"}
    fast, textbook = Supernet(**arguments).double(), TextbookSupernet(**arguments).double()
    textbook.load_state_dict(fast.published_state(), strict=False)
    for a, b in zip(textbook.arch_parameters(), fast.arch_parameters(), strict=True):
        a.data.copy_(b.data)
    images, labels = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    torch.testing.assert_close(fast(images), textbook(images), rtol=1e-10, atol=1e-10)
    before = fast.alphas()["tree"].detach().clone()
    assert before.shape == (6, 3)
    optimizer = torch.optim.SGD(fast.weight_parameters(), lr=0.1)
    architect = Architect(fast, learning_rate=0.01, order=2)
    architect.step(images, labels, images, labels, weight_optimizer=optimizer)
    assert bool((fast.alphas()["tree"] != before).all())
    genotype = fast.genotype()
    assert door.read_genotype(genotype.to_dict()) == genotype
    network = EvaluationNetwork(genotype, 8, 3, auxiliary=True).double()
    logits, auxiliary = network(images)
    assert auxiliary is not None
    F.cross_entropy(logits, labels).backward()
    assert "Tree: node 0 = " in draw_genotype(genotype, tmp_path / "tree.svg").read_text()
    assert list(genotype_lines(genotype)) == ["tree node 0", "tree node 1", "tree y"]
    shares = {"alpha_tree": before.softmax(1).tolist(), "beta_tree": [1.0, 0.5, 0.5, 0.3, 0.3, 0.4]}
    assert alphas_png(shares, OPERATIONS).startswith(b"\x89PNG")
    space = Space.model_validate({"name": "trees", "supernet": {"family": "tree", "nodes": 3}})
    assert space.supernet.primitives == OPERATIONS


def test_names_are_taken_once(family: TreeFamily) -> None:
    with pytest.raises(ValueError, match="registered already"):
        door.register_family(family)
    with pytest.raises(ValueError, match="has a skeleton already"):
        register_skeleton("tree", TreeSkeleton())
    with pytest.raises(ValueError, match="unknown family of cells 'trees'; .* did you mean 'tree'"):
        register_skeleton("trees", TreeSkeleton())
