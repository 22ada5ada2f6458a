"""How much memory a trial has: its share of a GPU's, or of what this machine has free.

room = room_of_a_trial(device, share, images_bytes=…)
room.bytes, room.text
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcdarts_tune.machine import available_memory, own_memory

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.cluster.resources import Share

CUDA_CONTEXT = 500_000_000
"""Bytes of a GPU that a process takes besides its tensors; assumed, not measured."""
RAY = 750_000_000
"""Bytes that Ray's own processes take; as seen on an idle machine."""


@dataclass(frozen=True)
class Room:
    """What a trial may take: for its tensors, in bytes, and how that was found."""

    bytes: float
    text: str


def room_of_a_trial(device: torch.device, share: Share, *, images_bytes: int) -> Room:
    """What a trial's tensors may take at the most.

    Args:
        images_bytes: of the decoded data set, which Ray keeps once for all trials of a machine.
    """
    import torch

    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        part = min(1.0, share.gpus)
        name = torch.cuda.get_device_name(device)
        text = f"{part:g} of {name} with {total / 1e9:.1f} GB, less {CUDA_CONTEXT / 1e9:g} GB for CUDA itself"
        return Room(part * total - CUDA_CONTEXT, text)
    free = available_memory()
    process = own_memory()
    left = (free - RAY - 2 * images_bytes) / share.concurrent - process
    text = (
        f"{free / 1e9:.1f} GB are free here, among {share.concurrent} at a time, less "
        f"{(RAY + 2 * images_bytes) / 1e9:.1f} GB for Ray and {process / 1e9:.1f} GB for each process"
    )
    return Room(left, text)
