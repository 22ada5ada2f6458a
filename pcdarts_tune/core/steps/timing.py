"""How long one step takes, and how much memory.

>>> timed(step, device), peak_memory(step, device)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

Step = Callable[[], object]


def timed(step: Step, device: torch.device) -> float:
    """Seconds of one step, from an idle device to an idle device; on CUDA by its own events."""
    if device.type != "cuda":
        begun = time.perf_counter()
        step()
        return time.perf_counter() - begun
    with torch.cuda.device(device):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        step()
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1000


def peak_memory(step: Step, device: torch.device, *, warm: bool = True) -> int:
    """Bytes that live tensors grow by at the most during a step: weights, data and optimiser are there before.

    Args:
        warm: take a step first, for what is allocated once.
    """
    if warm:
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device) - before)
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak
