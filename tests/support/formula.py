"""The filling formula of tests/reference/supernet_forward_grad.json: weights and images from integers alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

REFERENCE = Path(__file__).parent.parent / "reference"
MASK = 0xFFFFFFFF


def load_reference(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text())


def u(count: int, seed: int) -> Tensor:
    """`count` float64 values in [0, 1)."""
    h = (
        torch.arange(count, dtype=torch.int64) * 2654435761 + ((seed * 2246822519 + 374761393) & MASK)
    ) & MASK
    h ^= h >> 15
    h = _multiply(h, 2246822519)
    h ^= h >> 13
    h = _multiply(h, 3266489917)
    h ^= h >> 16
    return h.double() / 2**32


def _multiply(h: Tensor, factor: int) -> Tensor:
    # 32-bit product in 64-bit integers without overflow: split the factor in halves
    low, high = factor & 0xFFFF, factor >> 16
    return (h * low + ((h * high & 0xFFFF) << 16)) & MASK


def tensor_seed(shape: Sequence[int], role: str, index: int | None = None) -> int:
    s = 1 if role == "weight" else 2
    for d in shape:
        s = (s * 31 + d) & MASK
    return s if index is None else (s * 31 + index) & MASK


def filled(shape: Sequence[int], role: str, index: int | None = None) -> Tensor:
    z = 2 * u(math.prod(shape), tensor_seed(shape, role, index)) - 1
    if len(shape) > 1:
        return (z * math.sqrt(3 / math.prod(shape[1:]))).view(*shape)
    return 1 + 0.2 * z if role == "weight" else 0.1 * z


def fill_state(names_shapes: Iterable[tuple[str, Sequence[int]]], mode: str) -> dict[str, Tensor]:
    """Values for parameters listed in the published order."""
    return {
        name: filled(shape, "bias" if name.endswith("bias") else "weight", i if mode == "by_index" else None)
        for i, (name, shape) in enumerate(names_shapes)
    }


def images(shape: Sequence[int], seed: int) -> Tensor:
    return (1.7 * (2 * u(math.prod(shape), seed) - 1)).view(*shape)
