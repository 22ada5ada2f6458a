"""Networks of DARTS and PC-DARTS cells (DARTS, section 3; PC-DARTS, section 3): every layer is a cell of two inputs.

    >>> [cell.reduction for cell in plan_cells(channels=16, layers=8, stem_channels=48, outputs=(4, 4))]

Modules carry the published code's names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pcdarts_tune.core.fast.cell import FastCell
from pcdarts_tune.core.genotype import AnyGenotype, Edge, Genotype, edge_places
from pcdarts_tune.core.mixing import MixedOp, sample_order
from pcdarts_tune.core.ops import FactorizedReduce, OpSequence, build_operation, drop_path, require_even
from pcdarts_tune.core.skeletons.plan import CellPlan, Searched, reduction_layers


class DartsSkeleton:
    """See `plan.Skeleton`."""

    rectified = True

    def plan_search(self, channels: int, layers: int, stem: str, nodes: int) -> list[CellPlan]:
        if stem == "imagenet" and channels % 2:
            raise ValueError(
                f"the ImageNet stem halves 3 * channels, so channels must be even; got {channels}"
            )
        reduced = stem == "imagenet"
        return plan_cells(channels, layers, 3 * channels, (nodes, nodes), reduction_prev=reduced)

    def plan_evaluation(self, channels: int, layers: int, stem: str, genotype: AnyGenotype) -> list[CellPlan]:
        normal, reduce = (len(cell.concat) for cell in genotype.graphs())
        imagenet = stem == "imagenet"
        stem_channels = channels if imagenet else 3 * channels
        return plan_cells(channels, layers, stem_channels, (normal, reduce), reduction_prev=imagenet)

    def textbook_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        return Cell(plan, searched)

    def fast_layer(self, plan: CellPlan, searched: Searched) -> FastCell:
        return FastCell(plan, searched, searched.nodes, preprocessings(plan, affine=False))

    def derived_layer(self, plan: CellPlan, genotype: AnyGenotype) -> nn.Module:
        assert isinstance(genotype, Genotype)
        cell = (genotype.normal, genotype.normal_concat)
        return DerivedCell(*((genotype.reduce, genotype.reduce_concat) if plan.reduction else cell), plan)

    def ending(self, channels: int) -> None:
        """Nothing."""


def plan_cells(
    channels: int, layers: int, stem_channels: int, outputs: tuple[int, int], *, reduction_prev: bool = False
) -> list[CellPlan]:
    """Lay out the cells.

    Args:
        channels: C of the first cell.
        layers: number of cells.
        stem_channels: channels of both inputs of the first cell.
        outputs: how many states a (normal, reduction) cell concatenates.
        reduction_prev: whether cell 0 counts as following a reduction (ImageNet stems).
    """
    plans = []
    c_prev_prev = c_prev = stem_channels
    for index in range(layers):
        reduction = index in reduction_layers(layers)
        if reduction:
            channels *= 2
        kind, c_out = "reduce" if reduction else "normal", outputs[reduction] * channels
        plans.append(CellPlan(kind, c_prev_prev, c_prev, channels, c_out, reduction, reduction_prev))
        reduction_prev = reduction
        c_prev_prev, c_prev = c_prev, c_out
    return plans


def preprocessings(plan: CellPlan, affine: bool) -> tuple[nn.Module, nn.Module]:
    """What brings the two inputs of a cell to its number of channels and to one size."""

    def relu_conv_bn(c_in: int) -> nn.Module:
        convolution = nn.Conv2d(c_in, plan.channels, 1, bias=False)
        return OpSequence(nn.ReLU(), convolution, nn.BatchNorm2d(plan.channels, affine=affine))

    if plan.reduction_prev:
        return FactorizedReduce(plan.c_prev_prev, plan.channels, affine), relu_conv_bn(plan.c_prev)
    return relu_conv_bn(plan.c_prev_prev), relu_conv_bn(plan.c_prev)


class Cell(nn.Module):
    """A directed graph of `nodes` nodes over two inputs; the output concatenates the nodes."""

    def __init__(self, plan: CellPlan, given: Searched) -> None:
        super().__init__()
        self.nodes, self.sampled = given.nodes, given.mixing == "random" and given.k > 1
        self.preprocess0, self.preprocess1 = preprocessings(plan, affine=False)
        self._ops = nn.ModuleList(
            MixedOp(
                plan.channels,
                2 if plan.reduction and source < 2 else 1,
                given.k,
                given.of_edge(plan.kind, edge),
                given.mixing,
                given.columns(plan.kind, edge),
            )
            for edge, (source, _) in enumerate(edge_places(given.nodes))
        )

    def forward(self, s0: Tensor, s1: Tensor, alphas_EO: Tensor, betas_E: Tensor | None) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        orders = [self._sample(state) for state in states]
        edge = 0
        for node in range(self.nodes):
            total: Tensor | int = 0
            for state, order in zip(states, orders, strict=True):
                y = self._ops[edge](state, alphas_EO[edge], order)
                total = total + (y if betas_E is None else betas_E[edge] * y)
                edge += 1
            assert isinstance(total, Tensor)
            states.append(total)
            orders.append(self._sample(total) if node < self.nodes - 1 else None)
        return torch.cat(states[2:], dim=1)

    def _sample(self, state: Tensor) -> Tensor | None:
        return sample_order(state, self.training) if self.sampled else None


class DerivedCell(nn.Module):
    """A cell with the two edges a node that the genotype kept."""

    def __init__(self, edges: Sequence[Edge], concat: Sequence[int], plan: CellPlan) -> None:
        super().__init__()
        self.preprocess0, self.preprocess1 = preprocessings(plan, affine=True)
        self.concat, self.reduction = tuple(concat), plan.reduction
        self.sources = tuple(source for _, source in edges)
        self._ops = nn.ModuleList(
            build_operation(name, plan.channels, 2 if plan.reduction and source < 2 else 1, affine=True)
            for name, source in edges
        )

    def forward(self, s0: Tensor, s1: Tensor, keep: Tensor | None) -> Tensor:
        """`keep`: the probability that a sample's path survives, or None where nothing is dropped."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        if self.reduction:
            require_even(states[0])
        for node in range(len(self.sources) // 2):
            first, second = (self._edge(2 * node + side, states, keep) for side in (0, 1))
            states.append(first + second)
        return torch.cat([states[index] for index in self.concat], dim=1)

    def _edge(self, index: int, states: list[Tensor], keep: Tensor | None) -> Tensor:
        operation = self._ops[index]
        h: Tensor = operation(states[self.sources[index]])
        return h if keep is None or isinstance(operation, nn.Identity) else drop_path(h, keep)
