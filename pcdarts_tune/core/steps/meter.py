"""What an epoch or a step measures: losses and accuracies, summed on the device and read once; time; memory.

>>> meter.add(loss, logits, labels)         # as often as there are batches, without waiting for the device
>>> meter.read()                            # (mean loss, accuracy, images)
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite: the recipe diverges with these hyperparameters."""


class Measured(NamedTuple):
    """Mean loss, accuracy in 0..1, and over how many images; without images, (nan, nan, 0)."""

    loss: float
    accuracy: float
    images: int


class Meter:
    """Mean loss and accuracy over the images of an epoch.

    Its tensor keeps its address, so that steps which are captured as CUDA graphs can add to it.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """loss: mean over the batch; logits (N, classes), labels (N,)."""
        correct = (logits.argmax(dim=1) == labels).sum()
        count = torch.full((), len(labels), dtype=torch.float64, device=self.sums.device)
        self.sums += torch.stack([loss.detach().double() * len(labels), correct.double(), count])

    def read(self) -> Measured:
        """What was added since the last `clear`. Waits for the device."""
        loss, correct, count = self.sums.tolist()
        if not count:
            return Measured(math.nan, math.nan, 0)
        return Measured(loss / count, correct / count, int(count))

    def clear(self) -> None:
        """Begin anew."""
        self.sums.zero_()


class Stopwatch:
    """Seconds and peak memory since it was made."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        self.begun = time.perf_counter()

    def seconds(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - self.begun

    def peak_memory_bytes(self) -> int:
        """On CUDA the peak allocated on the device; on a CPU the process's peak so far, everything in it included."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def require_finite(loss: float, what: str, epoch: int, advice: str) -> None:
    """Raise NonFiniteLoss unless `loss` is a number."""
    if not math.isfinite(loss):
        raise NonFiniteLoss(f"the {what} became {loss} in epoch {epoch + 1}: {advice}")


Step = Callable[[], object]


def time_step(step: Step, device: torch.device) -> float:
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
    """Bytes that live tensors grow by at the most during a step; `warm` takes one before, for what is allocated once."""
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
