"""The real search and the real training of a space, ready for single steps at any batch size.

probe = SearchProbe(space, images, device)
probe.batch(64)["weights"]()                # one step of the weights

Seconds and bytes of one step, measured with the real search and the real training at a few batch sizes.

    fit = measure(SearchProbe(space, images, device), wanted=[64, 128], seconds=5.0, ...)
    fit.at(128).bytes, fit.basis(128)           # "measured", or "from batch 4 and 8"

Where a step is slow, small batches come first: they say what a larger one would take, and it is tried only where the
time that is left and the memory there is allow it. What was not tried lies on a straight line through what was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from pcdarts_tune.planning.forecast import Fit, Sample
from pcdarts_tune.tasks import DEFAULTS, Execution

if TYPE_CHECKING:
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.images.data import Batches
    from pcdarts_tune.core.steps.graphs import StepGraphs
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space


class Probe(Protocol):
    """A network with its optimisers and images, ready for steps.

    Attributes:
        largest: images there are: no batch is larger.
        precision: of its steps.
        graphs: what replays them on a GPU.
    """

    device: torch.device
    largest: int
    precision: str
    graphs: StepGraphs

    def batch(self, size: int) -> dict[str, Callable[[], object]]:
        """Steps on a batch of that size: `weights`, `score` and, in a search, `pair`: an architecture step as well."""
        ...

    def resident(self) -> int:
        """Bytes that are there before a step."""
        ...


class SearchProbe:
    """The search of a space, as a trial runs it."""

    def __init__(
        self, space: Space, images: DataSet, device: torch.device, execution: Execution = DEFAULTS
    ) -> None:
        from pcdarts_tune.training.build import build_search

        self.device = device
        self._before = allocated(device)
        self.search = build_search(space, images, device=device, seed=0, execution=execution)
        self.largest = min(len(self.search.weights), len(self.search.alphas))
        self.precision, self.graphs = self.search.precision, self.search.graphs

    def batch(self, size: int) -> dict[str, Callable[[], object]]:
        search = self.search
        weights, alphas = _first(search.weights, size), _first(search.alphas, size)
        search.supernet.train()
        return {
            "pair": lambda: self.graphs.run("pair", search.step_pair, *weights, *alphas),
            "weights": lambda: self.graphs.run("weights", search.step_weights, *weights),
            "score": lambda: _score(self, search.supernet, weights[0]),
        }

    def resident(self) -> int:
        search = self.search
        parts = [search.weights, search.alphas, search.validate]
        optimizers = [search.optimizer, search.architect.optimizer]
        return _resident(self.device, self._before, search.supernet, optimizers, parts)


class EvaluationProbe:
    """The short training of a genotype that scores a trial."""

    def __init__(
        self,
        space: Space,
        genotype: Genotype,
        images: DataSet,
        device: torch.device,
        execution: Execution = DEFAULTS,
    ) -> None:
        from pcdarts_tune.training.build import build_training

        self.device = device
        self._before = allocated(device)
        self.training = build_training(
            space, genotype, images, device=device, seed=0, stage="evaluation", execution=execution
        )
        self.largest = len(self.training.train)
        self.precision, self.graphs = self.training.precision, self.training.graphs

    def batch(self, size: int) -> dict[str, Callable[[], object]]:
        training = self.training
        images, labels = _first(training.train, size)
        training.network.train()
        return {
            "weights": lambda: self.graphs.run("training", training.step_measured, images, labels),
            "score": lambda: _score(self, training.network, images),
        }

    def resident(self) -> int:
        training = self.training
        parts = [training.train, training.valid]
        return _resident(self.device, self._before, training.network, [training.optimizer], parts)


def _first(batches: Batches, size: int) -> tuple[Tensor, Tensor]:
    """The first batch of that size, as an epoch would give it."""
    epoch = batches.epoch(size, epoch=0, seed=0)
    try:
        images, labels = next(iter(epoch))
        return images.clone(), labels.clone()  # they may share the memory of a larger chunk
    finally:
        if hasattr(epoch, "close"):
            epoch.close()


@torch.no_grad()
def _score(probe: Probe, network: Any, images: Tensor) -> None:
    from pcdarts_tune.core.steps.execution import autocast

    network.eval()
    with autocast(probe.device, probe.precision):
        network(images.contiguous(memory_format=torch.channels_last))
    network.train()


def allocated(device: torch.device) -> int:
    """Bytes of the tensors on a GPU; 0 on a CPU, which does not count."""
    return int(torch.cuda.memory_allocated(device)) if device.type == "cuda" else 0


def _resident(
    device: torch.device,
    before: int,
    network: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    parts: list[Any],
) -> int:
    if device.type == "cuda":
        return allocated(device) - before
    tensors: list[Tensor] = [*network.parameters(), *network.buffers()]
    for optimizer in optimizers:
        for state in optimizer.state.values():
            tensors += [value for value in state.values() if isinstance(value, Tensor)]
    for part in parts:
        tensors += [
            value
            for value in (getattr(part, "images", None), getattr(part, "labels", None))
            if isinstance(value, Tensor)
        ]
    return sum(tensor.nbytes for tensor in tensors)


SMALLEST = 4
REPEATS = 3


@dataclass
class Clock:
    """The time that measuring may take in all, and how it is shared."""

    limit: float
    begun: float = field(default_factory=time.monotonic)

    def spent(self) -> float:
        return time.monotonic() - self.begun

    def share(self, among: int) -> float:
        """An equal part of what is left for each of `among`."""
        return max(0.0, self.limit - self.spent()) / max(1, among)


def measure(probe: Probe, wanted: Iterable[int], *, macs: int, seconds: float, most_bytes: float) -> Fit:
    """Samples at the wanted batch sizes, or at smaller ones where these would take too long.

    Args:
        macs: multiply-adds of an image, from which the first guess at the time is made.
        seconds: about as long as this may take; the first batch is measured in any case.
        most_bytes: what a batch must not be predicted to exceed.
    """
    end = time.monotonic() + seconds
    sizes = sorted({min(size, probe.largest) for size in wanted})
    quick = _guess(probe, macs, sizes[-1]) <= seconds / 2
    samples: list[Sample] = []
    took = 0.0
    for size in _from_both_ends(sizes) if quick else _ladder(sizes):
        if samples:
            nearest = max(samples, key=lambda one: one.batch)
            predicted = Fit(tuple(samples)).at(size)
            longer = max(1.0, size / nearest.batch)
            if time.monotonic() + longer * took > end or predicted.bytes > most_bytes:
                continue
        begun = time.monotonic()
        try:
            samples.append(sample(probe, size, seconds=max(0.0, end - begun) / 4))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return Fit(tuple(sorted(samples, key=_batch)), too_large=size)
        took = time.monotonic() - begun
    return Fit(tuple(sorted(samples, key=_batch)))


def _guess(probe: Probe, macs: int, size: int) -> float:
    """Seconds that a sample might take: some five steps of three passes of two halves, at a modest speed."""
    speed = 1e12 if probe.device.type == "cuda" else 5e9
    return 5 * 3 * 2 * macs * size / speed


def _from_both_ends(sizes: list[int]) -> list[int]:
    """The largest, the smallest, then those between: a line through the ends gives the others, time or not."""
    return list(dict.fromkeys([sizes[-1], sizes[0], *sizes]))


def _ladder(sizes: list[int]) -> list[int]:
    """Small batches first; where even the smallest wanted one is too slow, the line starts from the largest tried."""
    small = [size for power in range(8) if (size := SMALLEST * 2**power) < sizes[-1]]
    return sorted({*small, *sizes})


def _batch(one: Sample) -> int:
    return one.batch


def sample(probe: Probe, size: int, *, seconds: float) -> Sample:
    """One batch size: each step once uncounted, then timed up to three times, then its memory."""
    from pcdarts_tune.core.steps.execution import hardware
    from pcdarts_tune.core.steps.meter import peak_memory, timed

    probe.graphs.clear()
    steps = probe.batch(size)
    times: dict[str, list[float]] = {name: [] for name in steps}
    with hardware(probe.device, probe.precision):
        for step in steps.values():
            step()
        begun = time.perf_counter()
        while not times["weights"] or (
            len(times["weights"]) < REPEATS and time.perf_counter() - begun < seconds
        ):
            for name, step in steps.items():
                times[name].append(timed(step, probe.device))
        added = peak_memory(steps.get("pair", steps["weights"]), probe.device, warm=False)
    added = max(added, probe.graphs.peak_memory_bytes - allocated(probe.device))  # a replay shows nothing
    middle = {name: median(seconds) for name, seconds in times.items()}
    alphas = max(0.0, middle["pair"] - middle["weights"]) if "pair" in middle else 0.0
    return Sample(size, middle["weights"], alphas, middle["score"], probe.resident(), added)
