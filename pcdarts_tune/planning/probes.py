"""The real search and the real training of a space, ready for single steps at any batch size.

probe = SearchProbe(space, images, device)
probe.batch(64)["weights"]()                # one step of the weights
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from pcdarts_tune.execution import DEFAULTS, Execution

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.core.data import Batches
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.graphs import StepGraphs
    from pcdarts_tune.datasets import DataSet


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
        from pcdarts_tune.build import build_search

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
        from pcdarts_tune.build import build_evaluation

        self.device = device
        self._before = allocated(device)
        self.training = build_evaluation(space, genotype, images, device=device, seed=0, execution=execution)
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
    from pcdarts_tune.core.precision import autocast

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
