"""What the pixels of a set say of it: mean and deviation of each channel, and warnings where there is little in them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pcdarts_tune.core.images.conversion import Conversion

_FEW, _MOST = 32, (0.998, 0.98)
"""So few of 256 levels, in which all pixels but 2 in 1,000 lie, or but 2 in 100 (a border, letters), say that a few samples
stretch the range."""


def channel_counts(images: Iterable[Tensor], channels: int) -> Tensor:
    """int64 (channels, 256): how often each level occurs, of batches of uint8 (n, C, H, W)."""
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for x_NCHW in images:
        for channel in range(channels):
            counts[channel] += torch.bincount(x_NCHW[:, channel].flatten(), minlength=256)
    return counts


def statistics(counts: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of each channel, 0..1, in float64 from exact counts; a constant channel gets std 1."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    weights = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    mean = weights @ levels
    std = (weights * (levels - mean[:, None]) ** 2).sum(dim=1).sqrt()
    std = torch.where(std < 1e-6, torch.ones_like(std), std)
    return tuple(mean.tolist()), tuple(std.tolist())


def pixel_notes(counts: Tensor, source: str, conversion: Conversion | None) -> tuple[str, ...]:
    """Warnings for channels with one level throughout, and for a range of samples that leaves few levels."""
    levels = [row.nonzero()[:, 0].tolist() for row in counts]
    if all(len(found) <= 1 for found in levels) and len({tuple(found) for found in levels}) == 1:
        what = f"all pixels of {source} are equal (level {levels[0][0]} of 255)" if levels[0] else ""
        return (
            (f"{what}: there is nothing to learn from; look at how the files were written",) if what else ()
        )
    names = ("red", "green", "blue") if len(levels) == 3 else tuple(map(str, range(len(levels))))
    constant = [name for name, found in zip(names, levels, strict=True) if len(found) == 1]
    notes = []
    if constant:
        notes.append(f"the channel {' and '.join(constant)} has one level in all pixels of {source}")
    if conversion is not None and conversion.sample_range is not None:
        total = counts.sum(0).cumsum(0).double() / counts.sum()
        least, most = conversion.sample_range
        step = (most - least) / 255
        for share in _MOST:
            low, high = (int(torch.searchsorted(total, quantile)) for quantile in (1 - share, share))
            if high - low >= _FEW:
                continue
            notes.append(
                f"{share:.1%} of the pixels lie within {high - low + 1} of 256 levels, since a few samples are far from the "
                f"others: data.sample_range: [{least + low * step:.6g}, {least + high * step:.6g}] scales by the others"
            )
            break
    return tuple(notes)
