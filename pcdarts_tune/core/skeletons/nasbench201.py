"""Networks of NAS-Bench-201 cells (Dong & Yang 2020, arXiv 2001.00326, section 2.1 and figure 1).

    stem, N cells of C channels, residual block, N cells of 2C, residual block, N cells of 4C, BatchNorm, ReLU

are 3 N + 2 layers (17 with N = 5, and C = 16, in the benchmark). In search, cells have no affine BatchNorm and pools are
followed by one, as in DARTS and PC-DARTS; residual blocks are as in evaluation.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pcdarts_tune.core.fast.cell import FastCell
from pcdarts_tune.core.genotype import AnyGenotype, GraphEdge, edge_places
from pcdarts_tune.core.mixing import MixedOp, sample_order
from pcdarts_tune.core.ops import Zero, build_operation, drop_path, require_even
from pcdarts_tune.core.skeletons.plan import CellPlan, Searched, reduction_layers


class NasBench201Skeleton:
    """See `plan.Skeleton`."""

    rectified = False

    def plan_search(self, channels: int, layers: int, stem: str, nodes: int) -> list[CellPlan]:
        plans: list[CellPlan] = []
        before = channels
        for index in range(layers):
            reduction = index in reduction_layers(layers)
            if reduction:
                channels *= 2
            kind = None if reduction else "cell"
            after = bool(plans) and plans[-1].reduction
            plans.append(CellPlan(kind, before, before, channels, channels, reduction, after))
            before = channels
        return plans

    def plan_evaluation(self, channels: int, layers: int, stem: str, genotype: AnyGenotype) -> list[CellPlan]:
        return self.plan_search(channels, layers, stem, 4)

    def textbook_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        return ResidualBlock(plan) if plan.kind is None else Cell(plan, searched)

    def fast_layer(self, plan: CellPlan, searched: Searched) -> nn.Module:
        return ResidualBlock(plan) if plan.kind is None else FastCell(plan, searched, searched.nodes - 1)

    def derived_layer(self, plan: CellPlan, genotype: AnyGenotype) -> nn.Module:
        return ResidualBlock(plan) if plan.kind is None else DerivedCell(genotype.graphs()[0].edges, plan)

    def ending(self, channels: int) -> nn.Module:
        """BatchNorm and ReLU."""
        return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class ResidualBlock(nn.Module):
    """Halves height and width and doubles the channels: two convolutions beside an average and a 1x1 convolution."""

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()

        def relu_conv_bn(c_in: int, stride: int) -> nn.Module:
            convolution = nn.Conv2d(c_in, plan.channels, 3, stride, padding=1, bias=False)
            return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(plan.channels))

        self.conv_a, self.conv_b = relu_conv_bn(plan.c_prev, 2), relu_conv_bn(plan.channels, 1)
        shortcut = nn.Conv2d(plan.c_prev, plan.channels, 1, bias=False)
        self.downsample = nn.Sequential(nn.AvgPool2d(2), shortcut)

    def forward(self, s0: Tensor, s1: Tensor, *rest: Any, relu: bool = False) -> Tensor:
        """s1 (N, C, H, W) to (N, 2C, H/2, W/2); the other arguments are those of cells, and unused."""
        require_even(s1)
        return self.downsample(s1) + self.conv_b(self.conv_a(s1))  # type: ignore[no-any-return]


class Cell(nn.Module):
    """A mixed operation on each edge between four nodes; the first is the input, the last the output."""

    def __init__(self, plan: CellPlan, given: Searched) -> None:
        super().__init__()
        self.sampled = given.mixing == "random" and given.k > 1
        self.places = edge_places(given.nodes - 1, 1)
        self._ops = nn.ModuleList(
            MixedOp(
                plan.channels,
                1,
                given.k,
                given.of_edge(plan.kind, edge),
                given.mixing,
                given.columns(plan.kind, edge),
            )
            for edge in range(len(self.places))
        )

    def forward(self, s0: Tensor, s1: Tensor, alphas_EO: Tensor, betas_E: Tensor | None) -> Tensor:
        states, orders = [s1], [self._sample(s1)]
        for edge, (source, target) in enumerate(self.places):
            y = self._ops[edge](states[source], alphas_EO[edge], orders[source])
            y = y if betas_E is None else betas_E[edge] * y
            if target == len(states):
                states.append(y)
            else:
                states[target] = states[target] + y
            if source == target - 1:  # the node's last edge
                orders.append(self._sample(states[target]) if edge < len(self.places) - 1 else None)
        return states[-1]

    def _sample(self, state: Tensor) -> Tensor | None:
        return sample_order(state, self.training) if self.sampled else None


class DerivedCell(nn.Module):
    """A cell with the operation on each edge that the genotype kept."""

    def __init__(self, edges: tuple[GraphEdge, ...], plan: CellPlan) -> None:
        super().__init__()
        self.places = [(edge.source, edge.target) for edge in edges]
        self._ops = nn.ModuleList(
            build_operation(edge.operation, plan.channels, 1, affine=True) for edge in edges
        )

    def forward(self, s0: Tensor, s1: Tensor, keep: Tensor | None) -> Tensor:
        """`keep`: the probability that a sample's path survives, or None where nothing is dropped."""
        states = [s1]
        for operation, (source, target) in zip(self._ops, self.places, strict=True):
            h: Tensor = operation(states[source])
            if keep is not None and not isinstance(operation, nn.Identity | Zero):
                h = drop_path(h, keep)
            if target == len(states):
                states.append(h)
            else:
                states[target] = states[target] + h
        return states[-1]
