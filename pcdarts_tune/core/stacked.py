"""One operation on many edges at once: the edges' weights lie stacked in one tensor, and one convolution serves all.

Legend: N batch, E edges, G groups of edges that share an input, c = C/K active channels, k kernel.

    ReLU -> depthwise k x k -> pointwise -> BatchNorm       is, for the edges of one source,       conv2d(x, W) -> BatchNorm
    with W[e, o, i] = pointwise[e, o, i] * depthwise[e, i]  (E c, c, k, k), composed where c is small enough to gain.

The mathematics is `ops.SepConv` and `ops.DilConv`, edge by edge; tests/core/test_supernet.py proves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COMPOSE_UP_TO = 16
"""Active channels up to which depthwise and pointwise are composed into one dense convolution, twice that where the
depthwise one is dilated (and slow): benchmarks/compose.py, measured on a CPU."""

Kernels = tuple[Tensor, Tensor | None]
"""What the convolution of a round needs: (composed, None) or (depthwise, pointwise)."""

MOMENTUM, EPSILON = 0.1, 1e-5  # PyTorch's BatchNorm defaults


class StackedNorm(nn.Module):
    """BatchNorm without scale and shift on concatenated channels; running statistics per edge and channel."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("running_mean", torch.zeros(edges * channels))
        self.register_buffer("running_var", torch.ones(edges * channels))

    def forward(self, y: Tensor, rows: slice) -> Tensor:
        """Normalise y (N, E c, H, W) of the edges `rows`."""
        part = slice(rows.start * self.channels, rows.stop * self.channels)
        mean, var = self.running_mean[part], self.running_var[part]
        return F.batch_norm(y, mean, var, None, None, self.training, MOMENTUM, EPSILON)

    def shared(self, y: Tensor, rows: slice, sources: int) -> Tensor:
        """Normalise y (N, S c, H, W) once a source, for edges that would all have normalised the same tensor.

        Returns (N, S c, H, W) in training, where one result serves all edges; (N, E c, H, W) in evaluation, where
        each edge has running statistics of its own (brought-in weights need not agree).
        """
        c, edges = self.channels, rows.stop - rows.start
        part = slice(rows.start * c, rows.stop * c)
        if not self.training:
            return self.forward(repeat_groups(y, sources, edges // sources), rows)
        mean, var = y.new_zeros(sources * c), y.new_zeros(sources * c)
        out = F.batch_norm(y, mean, var, None, None, True, 1.0, EPSILON)
        for running, batch in ((self.running_mean, mean), (self.running_var, var)):
            running[part].view(sources, -1, c).lerp_(batch.view(sources, 1, c).to(running.dtype), MOMENTUM)
        return out


class StackedConv(nn.Module):
    """Depthwise k x k and pointwise convolution of E edges, with their BatchNorm."""

    def __init__(self, edges: int, channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.channels, self.dilation = channels, dilation
        self.padding = dilation * (kernel_size // 2)
        self.depthwise = nn.Parameter(
            conv_init(edges, channels, kernel_size, kernel_size, fan_in=kernel_size**2)
        )
        self.pointwise = nn.Parameter(conv_init(edges, channels, channels, fan_in=channels))
        self.norm = StackedNorm(edges, channels)

    def kernels(self, edges: Sequence[int]) -> list[Kernels]:
        """The kernels by round, `edges` in each; split at once, since slices would each pad their gradient."""
        if self.channels <= COMPOSE_UP_TO * self.dilation:
            composed = self.pointwise[..., None, None] * self.depthwise[:, None]
            return [(part.flatten(0, 1), None) for part in composed.split(list(edges))]
        depthwise = [part.flatten(0, 1)[:, None] for part in self.depthwise.split(list(edges))]
        pointwise = [part.flatten(0, 1)[..., None, None] for part in self.pointwise.split(list(edges))]
        return list(zip(depthwise, pointwise, strict=True))

    def convolve(self, x: Tensor, kernels: Kernels, groups: int, stride: int) -> Tensor:
        """x (N, G c, H, W), G inputs for a round's E edges, to (N, E c, H/stride, W/stride), before the BatchNorm."""
        first, pointwise = kernels
        if pointwise is None:
            return F.conv2d(x, first, None, stride, self.padding, self.dilation, groups)
        edges = len(pointwise) // self.channels
        x = repeat_groups(x, groups, edges // groups)
        y = F.conv2d(x, first, None, stride, self.padding, self.dilation, groups=len(first))
        return F.conv2d(y, pointwise, groups=edges)

    def published(self, edge: int, first: int) -> Iterator[tuple[str, Tensor]]:
        """(name, view of the tensor) of one edge as the published code has it; `first` numbers the depthwise layer."""
        yield f"op.{first}.weight", self.depthwise[edge][:, None]
        yield f"op.{first + 1}.weight", self.pointwise[edge][..., None, None]
        yield from published_norm(self.norm, edge, f"op.{first + 2}")


class StackedReduce(nn.Module):
    """FactorizedReduce of E edges: `skip_connect` where the stride is 2."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Parameter(conv_init(edges, channels // 2, channels, fan_in=channels))
        self.conv_2 = nn.Parameter(conv_init(edges, channels // 2, channels, fan_in=channels))
        self.norm = StackedNorm(edges, channels)

    def forward(self, x: Tensor, rows: slice, groups: int) -> Tensor:
        """x (N, G c, H, W), after the ReLU, for the edges `rows`, to (N, E c, H/2, W/2), normalised."""
        edges, half = rows.stop - rows.start, self.conv_1.shape[1]
        halves = [
            F.conv2d(part, weight[rows].flatten(0, 1)[..., None, None], stride=2, groups=groups)
            for part, weight in ((x, self.conv_1), (x[:, :, 1:, 1:], self.conv_2))
        ]
        n, _, height, width = halves[0].shape
        # the channels of an edge are its two halves one after the other
        y = torch.cat([h.permute(0, 2, 3, 1).unflatten(-1, (edges, half)) for h in halves], dim=-1)
        y = y.view(n, height, width, 2 * edges * half).permute(0, 3, 1, 2)
        return self.norm(y, rows)  # type: ignore[no-any-return]

    def published(self, edge: int) -> Iterator[tuple[str, Tensor]]:
        yield "conv_1.weight", self.conv_1[edge][..., None, None]
        yield "conv_2.weight", self.conv_2[edge][..., None, None]
        yield from published_norm(self.norm, edge, "bn")


def published_norm(norm: StackedNorm, edge: int, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """The running statistics of one edge under the published names."""
    part = slice(edge * norm.channels, (edge + 1) * norm.channels)
    yield f"{prefix}.running_mean", norm.running_mean[part]
    yield f"{prefix}.running_var", norm.running_var[part]


def conv_init(*shape: int, fan_in: int) -> Tensor:
    """PyTorch's default for convolutions: uniform within 1 / sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(*shape).uniform_(-bound, bound)


def repeat_groups(x: Tensor, groups: int, times: int) -> Tensor:
    """(N, G c, H, W) to (N, G times c, H, W): each group of channels repeated, group by group."""
    if times == 1:
        return x
    n, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(n, height, width, groups, 1, channels // groups)
    x = x.expand(n, height, width, groups, times, channels // groups)
    return x.reshape(n, height, width, channels * times).permute(0, 3, 1, 2)
