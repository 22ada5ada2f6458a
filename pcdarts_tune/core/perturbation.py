"""Perturbation-based selection of a cell (DARTS-PT: Wang et al., ICLR 2021, arXiv 2108.04392, algorithm 1).

What an operation is worth is what the supernet loses without it, not its alpha:

    for each edge, in random order:  o* = argmin over o of ACC(supernet without o)      the edge keeps o* alone
    for each node, in random order:  its two edges e of lowest ACC(supernet without e)  the node keeps them alone

with a few epochs of training between decisions, which `search.Search` runs. As in the authors' code, one edge (then one node) of
every kind of cell is decided before the supernet trains on; the weight of what is removed is set to 0 while the others keep
theirs; ACC is taken on the images that train the alphas, by BatchNorm's batch statistics; of equals the first is kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune.core.architecture import SearchedNetwork
from pcdarts_tune.core.cells.selecting import all_edges, chooses_none, kept_of_node, nodes_to_decide
from pcdarts_tune.core.steps.execution import derive_seed


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        kind: of cell.
        edges: that it was about: one, or all that lead to a node; in the order of the rows of alpha.
        kept: the operation of the edge, or the edges of the node.
        accuracies: of the supernet without each operation, or each edge, by its name or number; empty where there was no choice.
    """

    kind: str
    edges: tuple[int, ...]
    kept: str | tuple[int, ...]
    accuracies: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        kept = self.kept if isinstance(self.kept, str) else list(self.kept)
        return {
            "kind": self.kind,
            "edges": list(self.edges),
            "kept": kept,
            "accuracies": dict(self.accuracies),
        }


class Selection:
    """The decisions of a search, which take effect in its supernet.

    Args:
        net: the supernet, of one or the other form.
        nodes: of a cell, as its family counts them.
        measure: the accuracy of `net` as it is.
        seed: of the order of edges and nodes.
    """

    def __init__(self, net: SearchedNetwork, nodes: int, measure: Callable[[], float], seed: int) -> None:
        self.net, self.nodes, self.measure = net, nodes, measure
        self.decisions: list[Decision] = []
        edges, inner = all_edges(net.family, nodes), nodes_to_decide(net.family, nodes)
        self._orders: dict[str, list[tuple[int, ...]]] = {}
        for kind in net.family.kinds:
            generator = random.Random(derive_seed(seed, "selection", kind))
            order = [(edge,) for edge in generator.sample(range(edges), edges)]
            self._orders[kind] = [
                *order,
                *(tuple(range(r.start, r.stop)) for r in generator.sample(inner, len(inner))),
            ]
        self.steps = edges + len(inner)
        net.open_selection()

    @property
    def done(self) -> int:
        """How many steps, of a decision for each kind of cell, have been made."""
        return len(self.decisions) // len(self._orders)

    def step(self) -> list[Decision]:
        """Decide the next edge, or the next node, of each kind of cell."""
        made = []
        for edges, kind in [(order[self.done], kind) for kind, order in self._orders.items()]:
            made.append(
                self._decide_edge(kind, edges[0]) if len(edges) == 1 else self._decide_node(kind, edges)
            )
            self._apply(made[-1])
        return made

    def state_dict(self) -> list[dict[str, Any]]:
        return [decision.to_dict() for decision in self.decisions]

    def load_state_dict(self, state: Sequence[dict[str, Any]]) -> None:
        """Put these decisions in the place of those so far."""
        self.net.open_selection()
        self.decisions = []
        for values in state:
            kept = values["kept"]
            self._apply(Decision(**{**values, "edges": tuple(values["edges"]), "kept": _plain(kept)}))

    def _decide_edge(self, kind: str, edge: int) -> Decision:
        net = self.net
        legal = set(net.primitives) if chooses_none(net.family) else set(net.primitives) - {"none"}
        barred = net.excluded()[kind][edge]
        names = [name for name, out in zip(net.primitives, barred, strict=True) if name in legal and not out]
        if len(names) == 1:
            return Decision(kind, (edge,), names[0])
        accuracies = {}
        for name in names:
            with net.without_operation(kind, edge, name):
                accuracies[name] = self.measure()
        return Decision(kind, (edge,), min(accuracies, key=accuracies.__getitem__), accuracies)

    def _decide_node(self, kind: str, edges: tuple[int, ...]) -> Decision:
        accuracies = {}
        for edge in edges:
            with self.net.without_edge(kind, edge):
                accuracies[str(edge)] = self.measure()
        most = kept_of_node(self.net.family, self.nodes)
        kept = sorted(edges, key=lambda edge: accuracies[str(edge)])[:most]
        return Decision(kind, edges, tuple(sorted(kept)), accuracies)

    def _apply(self, decision: Decision) -> None:
        if isinstance(decision.kept, str):
            self.net.keep_operation(decision.kind, decision.edges[0], decision.kept)
        else:
            self.net.drop_edges(decision.kind, [edge for edge in decision.edges if edge not in decision.kept])
        self.decisions.append(decision)


def _plain(kept: Any) -> str | tuple[int, ...]:
    return kept if isinstance(kept, str) else tuple(kept)
