"""A mixed operation on part of the channels (PC-DARTS, section 3.2), and how the channels are put together again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pcdarts_tune.core.ops import build_search_operation

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

    def __init__(
        self,
        channels: int,
        stride: int,
        k: int,
        primitives: Sequence[str],
        mixing: str,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`columns`: of the weights, those of these primitives; None for all."""
        super().__init__()
        self.columns = None if columns is None else tuple(columns)
        self.k, self.mixing, self.stride = k, mixing, stride
        self.active = channels // k
        self._ops = nn.ModuleList(build_search_operation(name, self.active, stride) for name in primitives)

    def forward(self, x: Tensor, weights_O: Tensor, order: Tensor | None) -> Tensor:
        """`order`: the channels as random mixing takes them, the operated ones first."""
        if order is not None:
            x = x[:, order]
        active, bypassed = x[:, : self.active], x[:, self.active :]
        if self.columns is not None:
            weights_O = torch.stack([weights_O[column] for column in self.columns])
        mixed = sum(w * op(active) for w, op in zip(weights_O, self._ops, strict=True))
        assert isinstance(mixed, Tensor)
        if self.k == 1:
            return mixed
        if self.stride == 2:
            bypassed = torch.max_pool2d(bypassed, 2, 2)
        if order is not None:
            return torch.cat([mixed, bypassed], dim=1)[:, torch.argsort(order)]
        return mix_channels(mixed, bypassed, self.k, self.mixing)
