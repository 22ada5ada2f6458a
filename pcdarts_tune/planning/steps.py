"""Seconds and bytes of single steps of the real search and the real training of a space, at a few batch sizes.

    probe = Probe(lambda: build_search(space, images, device=device, seed=0), device)
    measure(probe, [64, 128], macs=cost.macs, seconds=5.0, most_bytes=1e10).at(128).bytes

Where a step is slow, small batches come first. A larger one is measured only where, by what the small ones took, the time
and the memory suffice; `Fit` extrapolates to the others.
"""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Callable, Iterable
from statistics import median

import torch
from torch import Tensor

from pcdarts_tune.core.images.data import Batches
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.execution import autocast, use_precision
from pcdarts_tune.core.steps.meter import peak_memory, time_step
from pcdarts_tune.planning.forecast import Fit, Sample

SMALLEST = 4
"""The smallest batch size that is measured where a step is slow."""
REPEATS = 3
"""How often each step is timed at most."""


class Probe:
    """A search or a training, which `build` returns, new, on `device`, ready for single steps; no batch has more images than
    `largest`, the number of those that train."""

    def __init__(self, build: Callable[[], Search | Training], device: torch.device) -> None:
        self.device = device
        self._before = allocated(device)
        self.work = work = build()
        self.network: torch.nn.Module
        if isinstance(work, Search):
            self.network, self._batches = work.supernet, [work.weights, work.alphas, work.validate]
            self._optimizers = [work.optimizer, work.architect.optimizer]
            self.largest = min(len(work.weights), len(work.alphas))
        else:
            self.network, self._batches = work.network, [work.train, work.valid]
            self._optimizers, self.largest = [work.optimizer], len(work.train)

    def make_steps(self, size: int) -> dict[str, Callable[[], object]]:
        """Steps on one batch: `weights`, `score` and, in a search, `pair`: an architecture step and one of the weights."""
        work, run = self.work, self.work.graphs.run
        self.network.train()
        if isinstance(work, Search):
            batch, alphas = _first_batch(work.weights, size), _first_batch(work.alphas, size)
            return {
                "pair": lambda: run("pair", work.step_pair, *batch, *alphas),
                "weights": lambda: run("weights", work.step_weights, *batch),
                "score": lambda: self._score(batch[0]),
            }
        batch = _first_batch(work.train, size)
        return {
            "weights": lambda: run("training", work.step_measured, *batch),
            "score": lambda: self._score(batch[0]),
        }

    def resident(self) -> int:
        """Bytes of network, optimizers and images, which are there before a step."""
        if self.device.type == "cuda":
            return allocated(self.device) - self._before
        states = [state for optimizer in self._optimizers for state in optimizer.state.values()]
        tensors: list[object] = [*self.network.parameters(), *self.network.buffers()]
        tensors += [value for state in states for value in state.values()]
        tensors += [getattr(part, name, None) for part in self._batches for name in ("images", "labels")]
        return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))

    @torch.no_grad()
    def _score(self, images: Tensor) -> None:
        self.network.eval()
        with autocast(self.device, self.work.precision):
            self.network(images.contiguous(memory_format=torch.channels_last))
        self.network.train()


def _first_batch(batches: Batches, size: int) -> tuple[Tensor, Tensor]:
    """The first batch of that size, as an epoch would yield it."""
    epoch = batches.epoch(size, epoch=0, seed=0)
    try:
        images, labels = next(iter(epoch))
        return images.clone(), labels.clone()  # they may share the memory of a larger chunk
    finally:
        if hasattr(epoch, "close"):
            epoch.close()


def allocated(device: torch.device) -> int:
    """Bytes of the tensors on a GPU; 0 on a CPU, where torch does not count them."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else 0


def measure(probe: Probe, wanted: Iterable[int], *, macs: int, seconds: float, most_bytes: float) -> Fit:
    """Samples at the wanted batch sizes, or at smaller ones where these would take too long.

    Args:
        macs: multiply-adds of one image, from which the first guess at the time is made.
        seconds: about as long as this may take; the first batch is measured in any case.
        most_bytes: a batch that is predicted to take more is left out.
    """
    end = time.monotonic() + seconds
    sizes = sorted({min(size, probe.largest) for size in wanted})
    # about five steps of three passes over two batches, at a modest speed
    guess = 5 * 3 * 2 * macs * sizes[-1] / (1e12 if probe.device.type == "cuda" else 5e9)
    if guess <= seconds / 2:
        # a line through both ends gives those between, if the time is up before they are measured
        order = list(dict.fromkeys([sizes[-1], sizes[0], *sizes]))
    else:
        small = [size for power in range(8) if (size := SMALLEST * 2**power) < sizes[-1]]
        order = sorted({*small, *sizes})
    samples: list[Sample] = []
    took = 0.0
    for size in order:
        if samples:
            longer = max(1.0, size / samples[-1].batch)
            predicted = Fit(tuple(samples)).at(size).bytes
            if time.monotonic() + longer * took > end or predicted > most_bytes:
                continue
        begun = time.monotonic()
        try:
            sample = measure_batch(probe, size, seconds=max(0.0, end - begun) / 4)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return Fit(tuple(samples), too_large=size)
        insort(samples, sample, key=lambda one: one.batch)
        took = time.monotonic() - begun
    return Fit(tuple(samples))


def measure_batch(probe: Probe, size: int, *, seconds: float) -> Sample:
    """Run each step of a batch once untimed, time it up to three times, then measure its memory."""
    graphs = probe.work.graphs
    graphs.clear()
    steps = probe.make_steps(size)
    times: dict[str, list[float]] = {name: [] for name in steps}
    with use_precision(probe.device, probe.work.precision):
        for step in steps.values():
            step()
        end = time.perf_counter() + seconds
        for repeat in range(REPEATS):
            if repeat and time.perf_counter() >= end:
                break
            for name, step in steps.items():
                times[name].append(time_step(step, probe.device))
        added = peak_memory(steps.get("pair", steps["weights"]), probe.device, warm=False)
    # replaying a graph allocates nothing
    added = max(added, graphs.peak_memory_bytes - allocated(probe.device))
    middle = {name: median(seconds) for name, seconds in times.items()}
    alphas = max(0.0, middle["pair"] - middle["weights"]) if "pair" in middle else 0.0
    return Sample(size, middle["weights"], alphas, middle["score"], probe.resident(), added)
