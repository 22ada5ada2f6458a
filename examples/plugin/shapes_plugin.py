"""A plug-in for pcdarts-tune: an operation, a data set and a search space, which need nothing but torch and numpy.

pip install examples/plugin && pcdarts-tune sweep --space shapes --trials 1           # a package with entry points
pcdarts-tune sweep --plugin examples/plugin/shapes_plugin.py --space shapes --trials 1      # the same, as one file
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """ReLU, 3x3 convolution and BatchNorm, whose channels are then weighted by what is in them (Hu et al., arXiv 1709.01507).

    Shapes: x (N, C, H, W) -> (N, C, H / stride, W / stride). `affine` says whether BatchNorm learns scale and shift; in the
    search it does not.
    """

    def __init__(self, channels: int, stride: int, affine: bool) -> None:
        super().__init__()
        hidden = max(1, channels // 4)
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels, affine=affine)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(torch.relu(x)))
        hidden = torch.nn.functional.silu(self.squeeze(y.mean(dim=(2, 3), keepdim=True)))
        return y * torch.sigmoid(self.excite(hidden))


def shapes(root: Any = None) -> dict[str, Any]:
    """600 grey images of 16x16 pixels with a square, a disc or a cross on noise, always the same ones; `root`, which is
    `--data`, is not needed."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    labels = np.arange(600) % 3
    images = random.integers(0, 100, (600, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        y, x = random.integers(5, 11, 2)
        distances = abs(rows - y), abs(columns - x)
        square = np.maximum(*distances) <= 3
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= 12
        cross = (np.minimum(*distances) <= 1) & (np.maximum(*distances) <= 4)
        image[(square, disc, cross)[label]] = random.integers(120, 256)
    return {
        "images": images[:480],
        "labels": labels[:480],
        "test_images": images[480:],
        "test_labels": labels[480:],
        "classes": ["square", "disc", "cross"],
    }


shapes_space = {
    "description": "squares, discs and crosses with squeeze-and-excitation; seconds on a CPU",
    "data": {"dataset": "shapes", "held_out": 0.2},
    "supernet": {
        "channels": 4,
        "layers": 3,
        "nodes": 2,
        "k": 2,
        "primitives": ["none", "skip_connect", "sep_conv_3x3", "se_conv_3x3"],
    },
    "search": {"epochs": 2, "batch_size": 48, "arch_warmup_epochs": 1},
    "evaluation": {"channels": 8, "layers": 3, "epochs": 3, "batch_size": 32},
    "retrain": {
        "channels": 8,
        "layers": 3,
        "epochs": 3,
        "batch_size": 32,
        "drop_path": 0.0,
        "auxiliary": False,
    },
    "tune": {"search.learning_rate": {"type": "float", "low": 0.02, "high": 0.2, "log": True}},
}

# what --plugin reads of this file; a package names the same in its pyproject.toml
operations = {"se_conv_3x3": SqueezeExcitation}
datasets = {"shapes": shapes}
search_spaces = {"shapes": shapes_space}
