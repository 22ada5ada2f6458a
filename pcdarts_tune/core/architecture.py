"""What the networks are made of around their operations: which cell goes where, stems, a supernet's alphas and betas.

    >>> [cell.reduction for cell in plan_cells(channels=16, layers=8, stem_channels=48, outputs=(4, 4))]

Together alphas and betas say how much an operation counts (PC-DARTS, sections 3.2 and 3.3):

    weight of operation o on edge e = softmax(alpha)[e, o] * softmax_per_node(beta)[e]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcdarts_tune.core.genotype import Genotype, derive_genotype, node_count, node_slices
from pcdarts_tune.core.ops import FactorizedReduce, OpSequence

ARCHITECTURE_NAMES = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")


class SearchedNetwork(nn.Module):
    """What both forms of the supernet share: alphas and betas, Parameters in its state, but not among its weights."""

    primitives: Sequence[str]
    alpha_normal: nn.Parameter
    alpha_reduce: nn.Parameter
    beta_normal: nn.Parameter | None
    beta_reduce: nn.Parameter | None

    def add_architecture(self, nodes: int, edge_normalization: bool) -> None:
        """Draw alpha_* (E, O) and beta_* (E,) from 1e-3 * N(0, 1); betas are None without edge normalisation."""
        edges = node_slices(nodes)[-1].stop
        for name in ARCHITECTURE_NAMES:
            shape = (edges, len(self.primitives)) if name.startswith("alpha") else (edges,)
            left_out = name.startswith("beta") and not edge_normalization
            self.register_parameter(name, None if left_out else nn.Parameter(1e-3 * torch.randn(shape)))

    def arch_parameters(self) -> list[nn.Parameter]:
        """alpha_normal, alpha_reduce and, with edge normalisation, beta_normal, beta_reduce."""
        values = (getattr(self, name) for name in ARCHITECTURE_NAMES)
        return [value for value in values if value is not None]

    def weight_parameters(self) -> list[nn.Parameter]:
        """Every parameter that is not an alpha or a beta."""
        return [value for name, value in self.named_parameters() if name not in ARCHITECTURE_NAMES]

    def genotype(self) -> Genotype:
        """The genotype that alphas and betas give now."""
        values = (getattr(self, name) for name in ARCHITECTURE_NAMES)
        return derive_genotype(*values, primitives=self.primitives)


def softmax_per_node(beta_E: Tensor) -> Tensor:
    """Softmax over each node's incoming edges: slices of 2, 3, 4, 5, ... of `beta_E`."""
    slices = node_slices(node_count(len(beta_E)))
    return torch.cat([torch.softmax(beta_E[rows], dim=0) for rows in slices])


def mixing_weights(alpha_EO: Tensor, beta_E: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weights of a cell kind: operations (E, O), beta folded in, and bypassed channels (E,)."""
    operations_EO = torch.softmax(alpha_EO, dim=-1)
    if beta_E is None:
        return operations_EO, operations_EO.new_ones(len(alpha_EO))
    edges_E = softmax_per_node(beta_E)
    return operations_EO * edges_E[:, None], edges_E


STEMS = ("cifar", "imagenet")


@dataclass(frozen=True)
class CellPlan:
    """One cell: input channels of c_{k-2} and c_{k-1}, its own channels, and what kind it and its predecessor are."""

    c_prev_prev: int
    c_prev: int
    channels: int
    reduction: bool
    reduction_prev: bool


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
        plans.append(CellPlan(c_prev_prev, c_prev, channels, reduction, reduction_prev))
        reduction_prev = reduction
        c_prev_prev, c_prev = c_prev, outputs[reduction] * channels
    return plans


def reduction_layers(layers: int) -> tuple[int, int]:
    """Positions of the reduction cells, which double the channels (DARTS, section 3.1)."""
    return layers // 3, 2 * layers // 3


def check_sizes(
    channels: int, layers: int, num_classes: int, stem: str, in_channels: int, nodes: int = 4
) -> None:
    """Refuse sizes for which no network of cells is defined.

    Raises:
        ValueError: naming the argument, its value and what is legal.
    """
    for name, value, least in (
        ("channels", channels, 1),
        ("layers", layers, 3),
        ("num_classes", num_classes, 2),
        ("in_channels", in_channels, 1),
        ("nodes", nodes, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            why = "; with fewer no normal or no reduction cell would exist" if name == "layers" else ""
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}{why}")
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {', '.join(STEMS)}; got {stem!r}")


def add_stem(net: nn.Module, stem: str, in_channels: int, out_channels: int) -> None:
    """The convolutions before the first cell, under the published names `stem` or `stem0` and `stem1`."""

    def conv_bn(c_in: int, c_out: int, stride: int) -> tuple[nn.Module, nn.Module]:
        return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(c_out)

    if stem == "cifar":
        net.stem = nn.Sequential(*conv_bn(in_channels, out_channels, 1))
        return
    half = out_channels // 2
    net.stem0 = nn.Sequential(*conv_bn(in_channels, half, 2), nn.ReLU(), *conv_bn(half, out_channels, 2))
    net.stem1 = nn.Sequential(nn.ReLU(), *conv_bn(out_channels, out_channels, 2))


def apply_stem(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The two inputs of the first cell."""
    stems = dict(net.named_children())
    if "stem" in stems:
        s = stems["stem"](images)
        return s, s
    s0 = stems["stem0"](images)
    return s0, stems["stem1"](s0)


def preprocessings(plan: CellPlan, affine: bool) -> tuple[nn.Module, nn.Module]:
    """What brings the two inputs of a cell to its number of channels and to one size."""

    def relu_conv_bn(c_in: int) -> nn.Module:
        convolution = nn.Conv2d(c_in, plan.channels, 1, bias=False)
        return OpSequence(nn.ReLU(), convolution, nn.BatchNorm2d(plan.channels, affine=affine))

    if plan.reduction_prev:
        return FactorizedReduce(plan.c_prev_prev, plan.channels, affine), relu_conv_bn(plan.c_prev)
    return relu_conv_bn(plan.c_prev_prev), relu_conv_bn(plan.c_prev)
