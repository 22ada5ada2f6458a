"""Images as rows of pixels, and the statistics of their channels.

Legend: N batch, P = N H W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH = 256
"""Few channels are viewed as about this many: PyTorch's CPU kernels are slow, and with threads slower still, on narrow rows."""


def pixels(y_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) as (P, C); no copy where y is in channels_last."""
    return y_NCHW.permute(0, 2, 3, 1).flatten(0, 2)


def unpixels(y_PC: Tensor, shape: Sequence[int]) -> Tensor:
    """(P, C) as (N, C, H, W) in channels_last; `shape` gives N, H and W."""
    n, _, height, width = shape
    return y_PC.view(n, height, width, -1).permute(0, 3, 1, 2)


def channel_statistics(y_PC: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, (C,) each; in float32 where y has less.

    Raises:
        ValueError: for a single pixel, which has no variance.
    """
    if len(y_PC) < 2:
        raise ValueError(
            "BatchNorm needs more than one value a channel in training: use larger batches or images"
        )
    if y_PC.dtype in (torch.bfloat16, torch.float16):
        y_PC = y_PC.float()
    if y_PC.device.type != "cpu":
        variance, mean = torch.var_mean(y_PC, dim=0, correction=0)
        return mean, variance
    wide = widened(y_PC)
    mean, variance = torch.batch_norm_update_stats(wide[..., None, None], None, None, 0.0)
    channels = y_PC.shape[1]
    if wide.shape[1] == channels:
        return mean, variance
    parts, within = mean.view(-1, channels), variance.view(-1, channels)
    between, mean = torch.var_mean(parts, dim=0, correction=0)
    return mean, within.mean(dim=0) + between


def widened(y_PC: Tensor) -> Tensor:
    """The same numbers in longer rows: (P, C) as (P / r, r C), r a power of two that divides P."""
    rows, channels = y_PC.shape
    times = 1
    while 2 * times * channels <= WIDTH and rows % (2 * times) == 0:
        times *= 2
    return y_PC.reshape(rows // times, times * channels)


def tiled(values_C: Tensor, like: Tensor) -> Tensor:
    """A row of values by channel, repeated to the row length of what `widened` gave."""
    times = like.shape[1] // len(values_C)
    return values_C if times == 1 else values_C.expand(times, -1).reshape(-1)
