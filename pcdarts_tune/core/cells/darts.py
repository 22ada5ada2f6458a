"""The cells of DARTS and PC-DARTS: a normal and a reduction cell of two inputs, each node with two edges.

Derivation (DARTS, section 2.4; PC-DARTS, section 3.3) keeps the two strongest edges of each node:

    strength(edge) = max over operations other than `none` of softmax(alpha) * softmax_per_node(beta)
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.cells.graph import CellGraph, GraphEdge, Table, node_count, node_slices
from pcdarts_tune.core.cells.text import format_call, holds_call, parse_call

Edge = tuple[str, int]
"""(operation, predecessor); predecessors 0 and 1 are the cell's inputs, node i is predecessor i + 2."""

INPUTS = ("c_{k-2}", "c_{k-1}")

DARTS_PRIMITIVES: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


@dataclass(frozen=True)
class Genotype:
    """Two cells; each node takes two edges, listed node by node, and `*_concat` names the states that are the output."""

    normal: tuple[Edge, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Edge, ...]
    reduce_concat: tuple[int, ...]
    family: ClassVar[str] = "darts"

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Genotype:
        """Read the published JSON form.

        Raises:
            ValueError: naming the field and the entry that is wrong, and what is legal.
        """
        fields = ("normal", "normal_concat", "reduce", "reduce_concat")
        legal = ", ".join(fields)
        if not isinstance(mapping, Mapping):
            found = {list: "a list", str: "a string", type(None): "null"}.get(type(mapping), "a number")
            raise ValueError(f"a genotype is a JSON object with {legal}; this is {found}")
        if missing := [name for name in fields if name not in mapping]:
            raise ValueError(f"a genotype has the fields {legal}; missing: {', '.join(missing)}")
        if unknown := [str(name) for name in mapping if name not in fields]:
            raise ValueError(f"a genotype has only the fields {legal}; unknown: {', '.join(unknown)}")
        read: list[Any] = []
        for name in ("normal", "reduce"):
            read.append(_read_cell(name, mapping[name]))
            read.append(_read_concat(f"{name}_concat", mapping[f"{name}_concat"], len(read[-1]) // 2))
        return cls(*read)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON form, made of lists, strings and integers."""
        return {
            "normal": [list(edge) for edge in self.normal],
            "normal_concat": list(self.normal_concat),
            "reduce": [list(edge) for edge in self.reduce],
            "reduce_concat": list(self.reduce_concat),
        }

    @classmethod
    def from_text(cls, text: str) -> Genotype:
        """Read `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), ...)`, as DARTS repositories print it.

        Raises:
            ValueError: with line and column, or naming the field and the entry that is wrong.
        """
        return cls.from_dict(parse_call(text)[1])

    def to_text(self) -> str:
        """What `from_text` reads, on one line."""
        return format_call(self.to_dict())

    def canonical_hash(self) -> str:
        """16 hexadecimal digits; equal for cells that differ only in the order of a node's two edges or of the concat."""
        canonical = [
            [[sorted(cell[i : i + 2]) for i in range(0, len(cell), 2)], sorted(concat)]
            for cell, concat in ((self.normal, self.normal_concat), (self.reduce, self.reduce_concat))
        ]
        return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()[:16]

    @property
    def skip_connections(self) -> int:
        """How many edges of the normal cell are `skip_connect`: the published sign of a collapsed search."""
        return sum(operation == "skip_connect" for operation, _ in self.normal)

    def graphs(self) -> tuple[CellGraph, CellGraph]:
        """The normal and the reduction cell."""
        normal = _graph("normal", self.normal, self.normal_concat)
        return normal, _graph("reduce", self.reduce, self.reduce_concat)


def _graph(kind: str, cell: tuple[Edge, ...], concat: tuple[int, ...]) -> CellGraph:
    nodes = tuple(map(str, range(len(cell) // 2)))
    edges = tuple(GraphEdge(name, source, 2 + i // 2) for i, (name, source) in enumerate(cell))
    return CellGraph(kind, INPUTS, nodes, "c_{k}", edges, concat)


class DartsFamily:
    """See `graph.Family`."""

    name, title = "darts", "DARTS"
    kinds: Mapping[str, str] = {"normal": "Normal cell", "reduce": "Reduction cell"}
    inputs: tuple[str, ...] = INPUTS
    first_node = 0
    fixed_nodes: int | None = None
    primitives = DARTS_PRIMITIVES
    stems: tuple[str, ...] = ("cifar", "imagenet")
    auxiliary = True
    skips_in = "normal cell"
    limited_kind = "normal"

    def kept_edges(self, nodes: int) -> int:
        return 2 * nodes

    def recognizes(self, value: object) -> bool:
        return isinstance(value, Mapping) or (isinstance(value, str) and holds_call(value))

    def read(self, value: Any) -> Genotype:
        written = isinstance(value, str) and self.recognizes(value)
        return Genotype.from_text(value) if written else Genotype.from_dict(value)

    def random(
        self,
        seed: int,
        nodes: int,
        primitives: Sequence[str],
        *,
        edge_primitives: EdgePrimitives | None = None,
    ) -> Genotype:
        """For each node one of all pairs of different predecessors, and on each of the two edges one of all operations
        but `none`, as the random-search baselines in this space do (Li & Talwalkar 2019, arXiv 1902.07638)."""
        generator = random.Random(seed)

        def operations(kind: str, edge: int) -> list[str]:
            names = primitives if edge_primitives is None else edge_primitives[kind][edge]
            found = [name for name in names if name != "none"]
            if not found:
                raise ValueError("a genotype needs at least one operation other than 'none'")
            return found

        def cell(kind: str) -> tuple[Edge, ...]:
            edges: list[Edge] = []
            for node, rows in enumerate(node_slices(nodes)):
                predecessors = sorted(generator.sample(range(node + 2), 2))
                edges += [
                    (generator.choice(operations(kind, rows.start + predecessor)), predecessor)
                    for predecessor in predecessors
                ]
            return tuple(edges)

        concat = tuple(range(2, nodes + 2))
        return Genotype(cell("normal"), concat, cell("reduce"), concat)

    def choose(self, strength_EO: Table, primitives: Sequence[str]) -> list[tuple[int, int]]:
        """The 2 strongest edges of each node, strongest first, never with `none`. Ties: lower predecessor, lower operation."""
        choices = [index for index, name in enumerate(primitives) if name != "none"]
        if not choices:
            raise ValueError("a genotype needs at least one operation other than 'none'")
        # max() and sorted() keep the first of equals
        best = [max(choices, key=lambda o, row=row: row[o]) for row in strength_EO]  # type: ignore[misc]
        kept: list[int] = []
        for rows in node_slices(node_count(len(strength_EO))):
            kept += sorted(range(rows.start, rows.stop), key=lambda e: -strength_EO[e][best[e]])[:2]
        return [(edge, best[edge]) for edge in kept]

    def assemble(self, cells: Mapping[str, Sequence[GraphEdge]], nodes: int) -> Genotype:
        normal, reduce = (tuple((e.operation, e.source) for e in cells[kind]) for kind in self.kinds)
        concat = tuple(range(2, nodes + 2))
        return Genotype(normal, concat, reduce, concat)


def _read_cell(name: str, value: Any) -> tuple[Edge, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or len(value) % 2:
        raise ValueError(f"{name} must be a list of [operation, predecessor] pairs, two a node")
    edges: list[Edge] = []
    for i, pair in enumerate(value):
        where, node = f"{name}[{i}]", i // 2
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f'{where} must be [operation, predecessor], such as ["sep_conv_3x3", 0]')
        operation, predecessor = pair
        if operation not in DARTS_PRIMITIVES:
            from pcdarts_tune.core.ops import require_operation

            require_operation(operation, f"{where}: ")
        if type(predecessor) is not int or not 0 <= predecessor < node + 2:
            legal = f"0..{node + 1} (node {node} has {node + 2})"
            raise ValueError(f"{where}: predecessor {predecessor!r} must be {legal}")
        edges.append((operation, predecessor))
    return tuple(edges)


def _read_concat(name: str, value: Any, nodes: int) -> tuple[int, ...]:
    listed = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    legal = listed and all(type(i) is int and 0 <= i < nodes + 2 for i in value)
    if not legal or len(set(value)) != len(value):
        raise ValueError(f"{name} must list different states, each 0..{nodes + 1}; got {value!r}")
    return tuple(value)
