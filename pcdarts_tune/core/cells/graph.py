"""What all families of cells have in common: a genotype, its cells as graphs, and the family itself.

    >>> for cell in genotype.graphs():
    ...     print(cell.kind, cell.edges)

A cell's states are its inputs and then its nodes; an edge leads from a state to a later node. Node i of a cell with I inputs
has I + i predecessors, so the rows of its alphas and betas come in slices of I, I + 1, I + 2, ... edges (`node_slices`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Table = Sequence[Sequence[float]]


class GraphEdge(NamedTuple):
    """An operation from state `source` to state `target`."""

    operation: str
    source: int
    target: int


@dataclass(frozen=True)
class CellGraph:
    """A derived cell. Its states are the inputs, the nodes and the output, numbered in this order.

    Attributes:
        kind: one of its family's kinds.
        inputs, nodes, output: names of the states.
        edges: node by node; some families have edges into the output too.
        concat: the states that are concatenated into the output; none where the output is a node like the others.
    """

    kind: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    output: str
    edges: tuple[GraphEdge, ...]
    concat: tuple[int, ...] = ()

    @property
    def states(self) -> tuple[str, ...]:
        """The names of all states."""
        return (*self.inputs, *self.nodes, self.output)

    def sums(self) -> dict[int, list[GraphEdge]]:
        """The edges into each state that has some, by predecessor, then operation."""
        found: dict[int, list[GraphEdge]] = {}
        for edge in sorted(self.edges, key=lambda e: (e.target, e.source, e.operation)):
            found.setdefault(edge.target, []).append(edge)
        return found

    def reads_everything(self) -> bool:
        """Whether something of the output comes from each input and node, by an operation other than `none`."""
        read = set(self.concat) or {len(self.states) - 1}
        for edge in sorted(self.edges, key=lambda e: -e.target):
            if edge.target in read and edge.operation != "none":
                read.add(edge.source)
        return read >= set(range(len(self.states) - 1))


class AnyGenotype(Protocol):
    """A genotype of any family; equal ones are equal and have equal hashes."""

    @property
    def family(self) -> str: ...

    @property
    def skip_connections(self) -> int:
        """How many `skip_connect` edges the cell has by which a collapsed search is known."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Its JSON form, made of lists, strings and integers."""
        ...

    def canonical_hash(self) -> str:
        """16 hexadecimal digits, equal for equal cells."""
        ...

    def graphs(self) -> tuple[CellGraph, ...]:
        """Its cells, in the order of the family's kinds."""
        ...


class Family(Protocol):
    """A family of cells: `family.register_family` adds one, and `networks.register_networks` what is built of its cells.

    Attributes:
        name, title: for spaces, and for people.
        kinds: of cells, each with the heading of its drawing; a supernet has Parameters alpha_<kind> and beta_<kind> of each.
        inputs: names of a cell's inputs.
        first_node: the number of the first node that a cell computes; inputs that count as nodes come before it.
        fixed_nodes: the only legal number of nodes, or None.
        primitives: the candidate operations, unless a space says others.
        stems, auxiliary: what a network of the cells may begin with, and whether it may have an auxiliary head.
        skips_in: the cell in which `skip_connections` are counted, in words.

    A family may also have `limited_kind`, the kind of cell whose skip connections can be limited (`family.restrict_skips`).
    """

    name: str
    title: str
    kinds: Mapping[str, str]
    inputs: tuple[str, ...]
    first_node: int
    fixed_nodes: int | None
    primitives: tuple[str, ...]
    stems: tuple[str, ...]
    auxiliary: bool
    skips_in: str

    def kept_edges(self, nodes: int) -> int:
        """How many edges a derived cell of so many nodes has."""
        ...

    def recognizes(self, value: object) -> bool:
        """Whether a JSON value is meant as a genotype of this family."""
        ...

    def read(self, value: Any) -> AnyGenotype:
        """Read the JSON form. Raises ValueError: naming the entry that is wrong, and what is legal."""
        ...

    def random(self, seed: int, nodes: int, primitives: Sequence[str]) -> AnyGenotype:
        """Drawn uniformly; the same seed gives the same genotype on every machine."""
        ...

    def choose(self, strength_EO: Table, primitives: Sequence[str]) -> list[tuple[int, int]]:
        """The (edge, operation) pairs that a cell keeps, node by node.

        Args:
            strength_EO: softmax(alpha), with edge normalisation times softmax(beta) over each node's edges.
        """
        ...

    def assemble(self, cells: Mapping[str, Sequence[GraphEdge]], nodes: int) -> AnyGenotype:
        """The genotype of the edges that each kind of cell keeps, in the order of `choose`; `nodes` are computed."""
        ...


def node_count(edges: int, inputs: int = 2) -> int:
    """The number of nodes whose incoming edges add up to `edges` (2 + 3 + ... with 2 inputs): 14 -> 4."""
    twice = 2 * inputs - 1
    nodes = (math.isqrt(twice**2 + 8 * edges) - twice) // 2
    if nodes < 1 or nodes * (nodes + twice) // 2 != edges:
        each = ", ".join(str(inputs + i) for i in range(3))
        total = ", ".join(str(n * (n + twice) // 2) for n in range(1, 6))
        raise ValueError(
            f"{edges} edges fit no cell: nodes have {each}, ... predecessors, so {total}, ... edges"
        )
    return nodes


def node_slices(nodes: int, inputs: int = 2) -> list[slice]:
    """The rows of alpha and beta that belong to each computed node: slices of `inputs`, `inputs` + 1, ... edges."""
    starts = [i * (i + 2 * inputs - 1) // 2 for i in range(nodes + 1)]
    return [slice(starts[i], starts[i + 1]) for i in range(nodes)]


def edge_places(nodes: int, inputs: int = 2) -> list[tuple[int, int]]:
    """(source, target) of each candidate edge as states, in the order of the rows of alpha."""
    return [(source, inputs + node) for node in range(nodes) for source in range(inputs + node)]
