"""The seam between the networks and the families of cells: which layers stand where, and how each of them is built.

Every network is a stem, a chain of layers, an average over the pixels and a linear classifier. A layer reads the outputs of the
two layers before it; in search also the alphas and betas of its kind of cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.genotype import AnyGenotype


@dataclass(frozen=True)
class CellPlan:
    """One layer.

    Attributes:
        kind: the kind of cell; None for a layer without alphas and betas.
        c_prev_prev, c_prev: channels of the outputs of the two layers before it.
        channels: its own, of each state.
        c_out: channels of its output.
        reduction: whether it halves height and width.
        reduction_prev: whether the layer before it does.
    """

    kind: str | None
    c_prev_prev: int
    c_prev: int
    channels: int
    c_out: int
    reduction: bool
    reduction_prev: bool


@dataclass(frozen=True)
class Searched:
    """What the cells of a supernet have in common: nodes as the family counts them, K, operations, mixing of channels.

    `primitives` are the columns of alpha; `edge_primitives` those of each edge, where they differ.
    """

    nodes: int
    k: int
    primitives: Sequence[str]
    mixing: str
    edge_primitives: EdgePrimitives | None = None

    def of_edge(self, kind: str | None, edge: int) -> Sequence[str]:
        """The operations of an edge of this kind of cell; edges in the paper's order."""
        if self.edge_primitives is None or kind is None:
            return self.primitives
        return self.edge_primitives[kind][edge]

    def columns(self, kind: str | None, edge: int) -> list[int] | None:
        """Their columns of alpha; None for all."""
        if self.edge_primitives is None:
            return None
        return [list(self.primitives).index(name) for name in self.of_edge(kind, edge)]


class Skeleton(Protocol):
    """How networks are built of a family's cells.

    Attributes:
        rectified: whether every layer of the fast form takes its inputs after a ReLU, which is then computed once for all
            its readers.
    """

    rectified: bool

    def plan_search(self, channels: int, layers: int, stem: str, nodes: int) -> list[CellPlan]:
        """The layers of a supernet; the stem has as many channels as the first reads."""
        ...

    def plan_evaluation(self, channels: int, layers: int, stem: str, genotype: AnyGenotype) -> list[CellPlan]:
        """The layers of an evaluation network; the stem has as many channels as the first reads."""
        ...

    def textbook_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        """A layer as the paper draws it: (s0, s1, alphas_EO, betas_E) -> output; weights after their softmax, betas None
        without edge normalisation, both None where the plan has no kind."""
        ...

    def fast_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        """The same in few, large kernels: (s0, s1, weights, relu=False) -> output. With a kind it is a `fast.cell.FastCell`;
        else `weights` is None."""
        ...

    def derived_layer(self, plan: CellPlan, genotype: AnyGenotype) -> nn.Module:
        """A layer of an evaluation network: (s0, s1, keep) -> output; `keep` is the probability that a sample's path
        survives, or None where nothing is dropped."""
        ...

    def ending(self, channels: int) -> nn.Module | None:
        """What follows the last layer, before the average over the pixels; None for nothing."""
        ...


def reduction_layers(layers: int) -> tuple[int, int]:
    """Positions of the layers that halve height and width and double the channels: at one and two thirds."""
    return layers // 3, 2 * layers // 3
