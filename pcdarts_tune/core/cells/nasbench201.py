"""The cells of NAS-Bench-201 (Dong & Yang 2020, arXiv 2001.00326, section 2.1): four nodes, and an operation on every edge.

    |nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|

lists nodes 1, 2 and 3 with the operations from their predecessors. Node 0 is the cell's input, node 3 its output. `none` is an
operation like the others, so 5^6 = 15,625 cells exist.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.cells.graph import CellGraph, GraphEdge, Table, edge_places

NASBENCH201_PRIMITIVES: tuple[str, ...] = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
NODES = 4
EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
_PLACES = edge_places(NODES - 1, 1)


@dataclass(frozen=True)
class NasBench201Genotype:
    """One cell: the operations of its six edges, ordered by node, then predecessor: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""

    operations: tuple[str, ...]
    family: ClassVar[str] = "nasbench201"

    @classmethod
    def from_arch(cls, text: str) -> NasBench201Genotype:
        """Read the string of the published code; the edges of a node may stand in any order.

        Raises:
            ValueError: naming the node and the edge that are wrong, and what is legal.
        """
        nodes = text.strip().split("+")
        if len(nodes) != NODES - 1:
            raise ValueError(
                f"a NAS-Bench-201 cell lists nodes 1, 2 and 3, joined by +; this has {len(nodes)}: "
                f"{_shown(text)}; an example: {EXAMPLE}"
            )
        return cls(tuple(name for node, part in enumerate(nodes, start=1) for name in _read_node(node, part)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> NasBench201Genotype:
        """Read the JSON form, `{"arch": "|...|"}`.

        Raises:
            ValueError: naming what is wrong, and what is legal.
        """
        if unknown := [str(name) for name in mapping if name != "arch"]:
            raise ValueError(
                f"a NAS-Bench-201 genotype has only the field arch; unknown: {', '.join(unknown)}"
            )
        text = mapping.get("arch")
        if not isinstance(text, str):
            raise ValueError(f"arch must be a string such as {EXAMPLE}; got {_shown(text)}")
        return cls.from_arch(text)

    @property
    def arch(self) -> str:
        """The string of the published code."""
        names = iter(self.operations)
        nodes = ("".join(f"{next(names)}~{source}|" for source in range(node)) for node in range(1, NODES))
        return "+".join(f"|{node}" for node in nodes)

    def __str__(self) -> str:
        return self.arch

    def to_text(self) -> str:
        """The string of the published code."""
        return self.arch

    def to_dict(self) -> dict[str, Any]:
        """`{"arch": "|...|"}`."""
        return {"arch": self.arch}

    def canonical_hash(self) -> str:
        """16 hexadecimal digits of the string. Cells that compute the same by different operations have different ones."""
        return hashlib.sha256(self.arch.encode()).hexdigest()[:16]

    @property
    def skip_connections(self) -> int:
        """How many of the six edges are `skip_connect`."""
        return self.operations.count("skip_connect")

    def graphs(self) -> tuple[CellGraph]:
        """The cell; its output is node 3."""
        pairs = zip(self.operations, _PLACES, strict=True)
        edges = tuple(GraphEdge(name, source, target) for name, (source, target) in pairs)
        return (CellGraph("cell", ("0",), ("1", "2"), "3", edges),)


class NasBench201Family:
    """See `graph.Family`."""

    name, title = "nasbench201", "NAS-Bench-201"
    kinds: Mapping[str, str] = {"cell": "Cell"}
    inputs: tuple[str, ...] = ("0",)
    first_node = 1
    fixed_nodes: int | None = NODES
    primitives = NASBENCH201_PRIMITIVES
    stems: tuple[str, ...] = ("cifar",)
    auxiliary = False
    skips_in = "cell"

    def kept_edges(self, nodes: int) -> int:
        return nodes * (nodes - 1) // 2

    def recognizes(self, value: object) -> bool:
        if isinstance(value, str):
            return value.lstrip().startswith("|")
        return isinstance(value, Mapping) and "arch" in value

    def read(self, value: Any) -> NasBench201Genotype:
        if isinstance(value, str):
            return NasBench201Genotype.from_arch(value)
        return NasBench201Genotype.from_dict(value)

    def random(
        self,
        seed: int,
        nodes: int,
        primitives: Sequence[str],
        *,
        edge_primitives: EdgePrimitives | None = None,
    ) -> NasBench201Genotype:
        """On each edge one of all operations, `none` too, as random search draws in the benchmark (section 5)."""
        generator = random.Random(seed)
        edges = [primitives for _ in _PLACES] if edge_primitives is None else edge_primitives["cell"]
        return NasBench201Genotype(tuple(generator.choice(list(names)) for names in edges))

    def choose(self, strength_EO: Table, primitives: Sequence[str]) -> list[tuple[int, int]]:
        """On every edge the strongest operation, `none` too, as the benchmark's DARTS takes it; ties: the lower one.

        Every edge is kept, so betas, which weigh the edges of a node against each other, change nothing here.
        """
        columns = range(len(primitives))
        return [(edge, max(columns, key=row.__getitem__)) for edge, row in enumerate(strength_EO)]

    def assemble(self, cells: Mapping[str, Sequence[GraphEdge]], nodes: int) -> NasBench201Genotype:
        if nodes != NODES - 1:
            raise ValueError(
                f"a NAS-Bench-201 cell has {len(_PLACES)} edges; got {len(edge_places(nodes, 1))}"
            )
        return NasBench201Genotype(tuple(edge.operation for edge in cells["cell"]))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _read_node(node: int, part: str) -> list[str]:
    """The operations of a node by predecessor."""
    form = "|".join(f"operation~{source}" for source in range(node))
    part = part.strip()
    if not (len(part) > 1 and part.startswith("|") and part.endswith("|")):
        raise ValueError(f"node {node} must be |{form}|; got {_shown(part)}")
    found: dict[str, str] = {}
    for edge in part[1:-1].split("|"):
        name, sign, source = edge.partition("~")
        if not sign or source not in map(str, range(node)):
            raise ValueError(f"node {node}: {_shown(edge)} must be an operation, ~ and one of 0..{node - 1}")
        if source in found:
            raise ValueError(f"node {node}: two operations from node {source}; an edge has one")
        if name not in NASBENCH201_PRIMITIVES:
            from pcdarts_tune.core.ops import require_operation

            require_operation(name, f"node {node}, from node {source}: ")
        found[source] = name
    if len(found) != node:
        raise ValueError(f"node {node} must have an operation from each node before it: |{form}|")
    return [found[str(source)] for source in range(node)]
