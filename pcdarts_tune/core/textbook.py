"""The supernet as the paper draws it: one module per edge and operation (PC-DARTS, section 3).

The fast `supernet.Supernet` is proven equal to it and timed against it. Modules carry the published code's names.

    >>> TextbookSupernet(channels=16, layers=8, k=4, num_classes=10)(torch.randn(2, 3, 32, 32)).shape        # (2, 10)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core import architecture
from pcdarts_tune.core.architecture import CellPlan
from pcdarts_tune.core.genotype import DARTS_PRIMITIVES
from pcdarts_tune.core.ops import build_search_operation, check_primitives

MIXINGS = ("shuffle", "shift", "random")


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """out[c] = in[(c mod K) * C/K + c // K] along the channels of (N, C, H, W), K = groups."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def mix_channels(mixed: Tensor, bypassed: Tensor, k: int, mixing: str) -> Tensor:
    """Put the operated C/K channels and the bypassed rest back together, so that the next edge sees others.

    `shuffle` interleaves K groups (published), `shift` rotates by C/K: the operated channels come last.
    """
    if mixing == "shift":
        return torch.cat([bypassed, mixed], dim=1)
    return channel_shuffle(torch.cat([mixed, bypassed], dim=1), k)


def sample_order(x: Tensor, training: bool) -> Tensor:
    """The order in which `random` mixing takes the channels of a state (N, C, H, W): anew for each state and pass.

    The first C/K are operated on, and each keeps its own place. Evaluation takes the channels in their order.
    """
    channels = x.shape[1]
    return torch.randperm(channels, device=x.device) if training else torch.arange(channels, device=x.device)


class MixedOp(nn.Module):
    """All candidates on C/K channels, summed with weights; the rest bypasses, max-pooled where the stride is 2."""

    def __init__(self, channels: int, stride: int, k: int, primitives: Sequence[str], mixing: str) -> None:
        super().__init__()
        self.k, self.mixing, self.stride = k, mixing, stride
        self.active = channels // k
        self._ops = nn.ModuleList(build_search_operation(name, self.active, stride) for name in primitives)

    def forward(self, x: Tensor, weights_O: Tensor, order: Tensor | None) -> Tensor:
        """`order`: the channels as random mixing takes them, the operated ones first."""
        if order is not None:
            x = x[:, order]
        active, bypassed = x[:, : self.active], x[:, self.active :]
        mixed = sum(w * op(active) for w, op in zip(weights_O, self._ops, strict=True))
        assert isinstance(mixed, Tensor)
        if self.k == 1:
            return mixed
        if self.stride == 2:
            bypassed = torch.max_pool2d(bypassed, 2, 2)
        if order is not None:
            return torch.cat([mixed, bypassed], dim=1)[:, torch.argsort(order)]
        return mix_channels(mixed, bypassed, self.k, self.mixing)


class Cell(nn.Module):
    """A directed graph of `nodes` nodes over two inputs; the output concatenates the nodes."""

    def __init__(self, plan: CellPlan, nodes: int, k: int, primitives: Sequence[str], mixing: str) -> None:
        super().__init__()
        self.nodes, self.sampled = nodes, mixing == "random" and k > 1
        self.preprocess0, self.preprocess1 = architecture.preprocessings(plan, affine=False)
        self._ops = nn.ModuleList(
            MixedOp(plan.channels, 2 if plan.reduction and source < 2 else 1, k, primitives, mixing)
            for node in range(nodes)
            for source in range(node + 2)
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


@dataclass(frozen=True)
class SupernetArguments:
    """The arguments of both forms of the supernet, as `supernet.Supernet` describes them.

    Raises:
        ValueError: before anything is built, naming the argument, its value and what is legal.
    """

    channels: int = 16
    layers: int = 8
    k: int = 4
    num_classes: int = 10
    stem: str = "cifar"
    edge_normalization: bool = True
    in_channels: int = 3
    nodes: int = 4
    primitives: Sequence[str] = DARTS_PRIMITIVES
    mixing: str = "shuffle"

    def __post_init__(self) -> None:
        k, channels = self.k, self.channels
        architecture.check_sizes(
            channels, self.layers, self.num_classes, self.stem, self.in_channels, self.nodes
        )
        if isinstance(k, bool) or not isinstance(k, int) or k < 1 or channels % k:
            legal = ", ".join(str(d) for d in range(1, channels + 1) if channels % d == 0)
            raise ValueError(f"k={k!r} must divide channels={channels}: legal values are {legal}")
        if self.stem == "imagenet" and 3 * channels % 2:
            raise ValueError(
                f"the ImageNet stem halves 3 * channels, so channels must be even; got {channels}"
            )
        if self.mixing not in MIXINGS:
            raise ValueError(f"mixing must be one of {', '.join(MIXINGS)}; got {self.mixing!r}")
        object.__setattr__(self, "primitives", check_primitives(self.primitives))

    def plan(self) -> list[CellPlan]:
        """The cells."""
        outputs, imagenet = (self.nodes, self.nodes), self.stem == "imagenet"
        return architecture.plan_cells(
            self.channels, self.layers, 3 * self.channels, outputs, reduction_prev=imagenet
        )


class TextbookSupernet(architecture.SearchedNetwork):
    """The supernet, module by module. It takes the arguments of `supernet.Supernet` and computes the same."""

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        given = SupernetArguments(*values, **named)
        self.primitives, plans = given.primitives, given.plan()
        architecture.add_stem(self, given.stem, given.in_channels, 3 * given.channels)
        self.reductions = [plan.reduction for plan in plans]
        self.cells = nn.ModuleList(
            Cell(plan, given.nodes, given.k, given.primitives, given.mixing) for plan in plans
        )
        self.classifier = nn.Linear(given.nodes * plans[-1].channels, given.num_classes)
        self.add_architecture(given.nodes, given.edge_normalization)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to logits (N, num_classes)."""
        s0, s1 = architecture.apply_stem(self, images)
        for reduction, cell in zip(self.reductions, self.cells, strict=True):
            alpha_EO = torch.softmax(self.alpha_reduce if reduction else self.alpha_normal, dim=-1)
            beta_E = self.beta_reduce if reduction else self.beta_normal
            weights_E = None if beta_E is None else architecture.softmax_per_node(beta_E)
            s0, s1 = s1, cell(s0, s1, alpha_EO, weights_E)
        return self.classifier(s1.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    def weight_state(self) -> dict[str, Tensor]:
        """The state without alphas and betas: the published code's names, shapes and order."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if name not in architecture.ARCHITECTURE_NAMES
        }
