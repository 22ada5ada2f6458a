"""One operation on many edges at once: the edges' weights lie stacked in one tensor, and one convolution serves all.

    ReLU -> depthwise k x k -> pointwise -> BatchNorm       is, for the edges of one source,       conv2d(x, W) -> BatchNorm
    with W[e, o, i] = pointwise[e, o, i] * depthwise[e, i]  (E c, c, k, k), composed where c is small enough to gain.

Legend: N batch, E edges, G groups of edges that share an input, c = C/K active channels, k kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.fast.normalize import EPSILON, folds, normalize

COMPOSE_UP_TO = 16
"""Active channels up to which depthwise and pointwise are composed into one dense convolution, twice that where the
depthwise one is dilated (and slow): benchmarks/core/compose.py, measured on a CPU."""

Kernels = tuple[Tensor, Tensor | None]
"""What the convolution of a round needs: (composed, None) or (depthwise, pointwise)."""

MOMENTUM = 0.1  # PyTorch's default for BatchNorm


class StackedNorm(nn.Module):
    """BatchNorm without scale and shift on concatenated channels; running statistics per edge and channel."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("running_mean", torch.zeros(edges * channels))
        self.register_buffer("running_var", torch.ones(edges * channels))

    def forward(self, y: Tensor, rows: slice, *, relu: bool = False) -> Tensor:
        """Normalise y (N, E c, H, W) of the edges `rows`, in training also (N, S c, H, W) that the edges of a source share;
        then ReLU if asked."""
        if self.training and folds(y):
            out, mean, variance = normalize(y, relu=relu)
            self.track(mean, variance, y.numel() // y.shape[1], rows)
            return out
        part = slice(rows.start * self.channels, rows.stop * self.channels)
        mean, variance = self.running_mean[part], self.running_var[part]
        shared = y.shape[1] < len(mean)
        if shared:
            # with momentum 1 the running statistics are the batch's, the variance unbiased already
            batch = mean.new_zeros(2, y.shape[1])
            out = F.batch_norm(y, batch[0], batch[1], None, None, True, 1.0, EPSILON)
            self._follow(mean, batch[0])
            self._follow(variance, batch[1])
        else:
            out = F.batch_norm(y, mean, variance, None, None, self.training, MOMENTUM, EPSILON)
        return torch.relu_(out) if relu else out

    def track(self, mean: Tensor, variance: Tensor, count: int, rows: slice) -> None:
        """Let the running statistics of `rows` follow a batch's mean and biased variance, over `count` values each.

        (E c,), or (S c,) where the edges of a source share what they normalise.
        """
        part = slice(rows.start * self.channels, rows.stop * self.channels)
        self._follow(self.running_mean[part], mean)
        self._follow(self.running_var[part], variance * (count / (count - 1)))

    def _follow(self, running: Tensor, batch: Tensor) -> None:
        """running (E c,) goes a step towards batch (S c,): the edges of a source lie side by side."""
        edges = running.view(len(batch) // self.channels, -1, self.channels)
        edges.lerp_(batch.view(-1, 1, self.channels).to(running.dtype), MOMENTUM)


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


class StackedDense(nn.Module):
    """Convolution k x k of all channels of E edges, with their BatchNorm."""

    def __init__(self, edges: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.channels, self.padding = channels, kernel_size // 2
        fan_in = channels * kernel_size**2
        self.weight = nn.Parameter(
            conv_init(edges * channels, channels, kernel_size, kernel_size, fan_in=fan_in)
        )
        self.norm = StackedNorm(edges, channels)

    def kernels(self, edges: Sequence[int]) -> list[Kernels]:
        """The kernels by round, `edges` in each."""
        return [(part, None) for part in self.weight.split([count * self.channels for count in edges])]

    def convolve(self, x: Tensor, kernels: Kernels, groups: int, stride: int) -> Tensor:
        """x (N, G c, H, W), G inputs for a round's E edges, to (N, E c, H/stride, W/stride), before the BatchNorm."""
        return F.conv2d(x, kernels[0], None, stride, self.padding, groups=groups)

    def published(self, edge: int, first: int) -> Iterator[tuple[str, Tensor]]:
        """(name, view of the tensor) of one edge in the textbook form; `first` numbers the convolution."""
        yield f"op.{first}.weight", self.weight[edge * self.channels : (edge + 1) * self.channels]
        yield from published_norm(self.norm, edge, f"op.{first + 1}")


class StackedReduce(nn.Module):
    """FactorizedReduce of E edges: `skip_connect` where the stride is 2."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Parameter(conv_init(edges, channels // 2, channels, fan_in=channels))
        self.conv_2 = nn.Parameter(conv_init(edges, channels // 2, channels, fan_in=channels))
        self.norm = StackedNorm(edges, channels)

    def forward(self, x: Tensor, rows: slice, groups: int) -> Tensor:
        """x (N, G c, H, W), after the ReLU, for the edges `rows`, to (N, E c, H/2, W/2), before the BatchNorm."""
        return halve(x, self.conv_1[rows], self.conv_2[rows], groups)

    def published(self, edge: int) -> Iterator[tuple[str, Tensor]]:
        yield "conv_1.weight", self.conv_1[edge][..., None, None]
        yield "conv_2.weight", self.conv_2[edge][..., None, None]
        yield from published_norm(self.norm, edge, "bn")


def halve(x: Tensor, first: Tensor, second: Tensor, groups: int) -> Tensor:
    """The two convolutions of `ops.FactorizedReduce` as one of 2 x 2, stride 2: x (N, G c, H, W) to (N, E o, H/2, W/2).

    `first` (E, o/2, c) reads the upper left of each 2 x 2 pixels, the shifted `second` the lower right; side by side an edge.
    """
    upper_left = F.pad(first[..., None, None], (0, 1, 0, 1))
    lower_right = F.pad(second[..., None, None], (1, 0, 1, 0))
    return F.conv2d(x, torch.cat([upper_left, lower_right], dim=1).flatten(0, 1), stride=2, groups=groups)


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
