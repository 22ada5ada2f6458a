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
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


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


@dataclass(frozen=True)
class Scored:
    """What a network scored on some images.

    Attributes:
        loss: mean cross-entropy; NaN without images. loss_std: standard deviation (n - 1) over the images, None below two.
        accuracy: share of the images that are right; NaN without images.
        correct, images: by class, how many are right and how many there are.
    """

    loss: float
    loss_std: float | None
    accuracy: float
    correct: tuple[int, ...]
    images: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many images."""
        return sum(self.images)

    @property
    def recalls(self) -> tuple[float | None, ...]:
        """By class, the share of its images that are right; None for a class without images."""
        pairs = zip(self.correct, self.images, strict=True)
        return tuple(right / count if count else None for right, count in pairs)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of the classes that have images (Brodersen et al., ICPR 2010); NaN without images."""
        known = [recall for recall in self.recalls if recall is not None]
        return sum(known) / len(known) if known else math.nan

    @property
    def balanced_error(self) -> float:
        """Standard error of the balanced accuracy: sqrt(sum of r (1 - r) / n over the K classes) / K, each recall r being
        binomial in the n images of its class."""
        known = [(r, n) for r, n in zip(self.recalls, self.images, strict=True) if r is not None]
        return math.sqrt(sum(r * (1 - r) / n for r, n in known)) / len(known) if known else math.nan

    @property
    def majority(self) -> float:
        """Share of the images that are of the largest class: the accuracy of naming no other."""
        return max(self.images) / self.count if self.count else math.nan


class ScoreMeter:
    """Loss and right answers over images that are scored, in all and by class; see `Meter`."""

    def __init__(self, device: torch.device, classes: int) -> None:
        self.sums = torch.zeros(4 + 2 * classes, dtype=torch.float64, device=device)
        self._classes = classes

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """logits (N, classes), labels (N,)."""
        right = (logits.argmax(dim=1) == labels).double()
        losses = F.cross_entropy(logits, labels, reduction="none").double()
        # the mean as PyTorch takes it, so that losses are those of a training step's
        loss = F.cross_entropy(logits, labels).double() * len(labels)
        totals = torch.stack([loss, losses.sum(), losses.square().sum(), right.sum()])
        by_class = torch.zeros(2, self._classes, dtype=torch.float64, device=self.sums.device)
        by_class.index_add_(1, labels, torch.stack([right, torch.ones_like(right)]))
        self.sums += torch.cat([totals, by_class.flatten()])

    def read(self) -> Scored:
        """What was added since the last `clear`. Waits for the device."""
        loss, plain, squares, right, *by_class = self.sums.tolist()
        correct, images = by_class[: self._classes], by_class[self._classes :]
        count = int(sum(images))
        if not count:
            return Scored(math.nan, None, math.nan, *_whole(correct, images))
        variance = max(0.0, squares - plain * plain / count) / (count - 1) if count > 1 else None
        std = None if variance is None else math.sqrt(variance)
        return Scored(loss / count, std, right / count, *_whole(correct, images))

    def clear(self) -> None:
        """Begin anew."""
        self.sums.zero_()


def _whole(correct: list[float], images: list[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(map(int, correct)), tuple(map(int, images))


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
