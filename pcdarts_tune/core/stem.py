"""The convolutions before the first cell, in the supernets and the evaluation network alike (spec sections 3 and 7)."""

from __future__ import annotations

from torch import Tensor, nn


def add_stem(net: nn.Module, stem: str, in_channels: int, out_channels: int) -> None:
    """The convolutions before the first cell, under the published names `stem` or `stem0` and `stem1`."""
    if stem == "cifar":
        net.stem = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )
        return
    half = out_channels // 2
    net.stem0 = nn.Sequential(
        nn.Conv2d(in_channels, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    )
    net.stem1 = nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def apply_stem(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The two inputs of the first cell."""
    stems = dict(net.named_children())
    if "stem" in stems:
        s = stems["stem"](images)
        return s, s
    s0 = stems["stem0"](images)
    return s0, stems["stem1"](s0)
