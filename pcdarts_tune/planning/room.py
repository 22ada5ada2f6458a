"""How much memory a trial has: its share of a GPU's, or of what this machine has free.

room = room_of_a_trial(device, share, images_bytes=…)
room.bytes, room.text
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    free = free_memory()
    process = own_memory()
    left = (free - RAY - 2 * images_bytes) / share.concurrent - process
    text = (
        f"{free / 1e9:.1f} GB are free here, among {share.concurrent} at a time, less "
        f"{(RAY + 2 * images_bytes) / 1e9:.1f} GB for Ray and {process / 1e9:.1f} GB for each process"
    )
    return Room(left, text)


def free_memory() -> float:
    """Bytes that processes on this machine may still take: the system's word, or a container's limit."""
    free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = float(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, float(limit - used + int(cached.get("inactive_file", 0))))
    return free


def own_memory() -> float:
    """Bytes that this process takes for itself, shared libraries apart: about what a worker takes before it has tensors,
    as both have torch loaded.
    """
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return float(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
