"""What a search and a training from scratch share: how their steps run, what an epoch measures, how a network is scored.

>>> loss, accuracy = evaluate(network, batches, 96)
>>> score_network(network, batches, 96).balanced_accuracy
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core.groups import Team
from pcdarts_tune.core.images.data import Batches
from pcdarts_tune.core.steps import execution
from pcdarts_tune.core.steps.graphs import StepGraphs
from pcdarts_tune.core.steps.meter import Meter, Scored, ScoreMeter, Stopwatch
from pcdarts_tune.core.steps.optimizers import optimizer_tensors, set_learning_rate


class Loop:
    """How the epochs of a search or a training run, and what they measure.

    Args:
        networks: all that the steps change; the first is on the device of the data, and its passes are compiled.
        optimizers: of the steps, that of the weights first.
        rate: the weights' learning rate by epoch.
        precision, compile, graphs: see `search.Search`.
        classes: of the images that are scored.
        unfit: why steps cannot be replayed as CUDA graphs, if they cannot.

    Attributes:
        trained, searched: what the steps of the weights and of the architecture measured in this epoch.

    Raises:
        ValueError: for a precision that the device does not have, or graphs that cannot be had.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        rate: Callable[[int], float],
        *,
        precision: str,
        compile: bool | str,
        graphs: bool | str,
        classes: int,
        unfit: str | None,
    ) -> None:
        self.device = next(networks[0].parameters()).device
        self.precision, self.compile = execution.check_precision(precision, self.device), compile
        self.rate, self.optimizer = rate, optimizers[0]
        self.trained, self.searched = Meter(self.device), Meter(self.device)
        self._scored = ScoreMeter(self.device, classes)
        # not `self` in what follows: a cycle would wait for the garbage collector, and the networks with it
        sums = [meter.sums for meter in (self.trained, self.searched, self._scored)]

        def changed() -> Iterator[Tensor]:
            for network in networks:
                yield from (*network.parameters(), *network.buffers())
            yield from optimizer_tensors(*optimizers)
            yield from sums

        self.graphs = StepGraphs(self.device, graphs, changed, unfit=unfit)
        if compile:
            backend = compile if isinstance(compile, str) else "inductor"
            with execution.explain_compile_errors(compile):
                # one program for each size of batch: a CUDA graph wants fixed shapes, and there are two
                networks[0].compile(backend=backend, dynamic=False)

    @contextmanager
    def epoch(self, epoch: int, *key: object) -> Iterator[Stopwatch]:
        """Around an epoch: random generators seeded by `key` and the epoch, and meters and learning rate set."""
        with (
            execution.seed_generators(self.device, *key, epoch),
            execution.use_precision(self.device, self.precision),
            execution.explain_compile_errors(self.compile),
        ):
            watch = Stopwatch(self.device)
            set_learning_rate(self.optimizer, self.rate(epoch))
            self.trained.clear()
            self.searched.clear()
            yield watch

    def score(
        self, network: nn.Module, batches: Batches | None, batch_size: int, team: Team | None = None
    ) -> Scored | None:
        """`score_network`, as the steps are executed; None where there are no images."""
        if batches is None:
            return None
        return score_network(
            network,
            batches,
            batch_size,
            precision=self.precision,
            graphs=self.graphs,
            meter=self._scored,
            team=team,
        )

    def describe(self) -> dict[str, str]:
        """How the steps so far were executed, in words: precision, compile, graphs (and why not), device."""
        named = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return {
            "precision": self.precision,
            "compile": str(self.compile) if self.compile else "off",
            "graphs": "on" if self.graphs.reason is None else f"off: {self.graphs.reason}",
            "device": named,
        }


def evaluate(network: nn.Module, batches: Batches, batch_size: int, **options: Any) -> tuple[float, float]:
    """(mean loss, accuracy in 0..1) over every image once; `options` as `score_network` takes them."""
    scored = score_network(network, batches, batch_size, **options)
    return scored.loss, scored.accuracy


@torch.no_grad()
def score_network(
    network: nn.Module,
    batches: Batches,
    batch_size: int,
    *,
    precision: str = "float32",
    graphs: StepGraphs | None = None,
    meter: ScoreMeter | None = None,
    team: Team | None = None,
) -> Scored:
    """Loss and accuracies in evaluation mode over every image once, in order; the mode is put back.

    Args:
        precision: of the forward passes.
        graphs, meter: to replay the passes, with the meter among what the graphs keep; None launches them one by one.
        team: the processes that share the images; all get the result, of the network with rank 0's running statistics.
    """
    device = next(network.parameters()).device
    meter = meter or ScoreMeter(device, batches.num_classes)
    meter.clear()

    def score(images: Tensor, labels: Tensor) -> None:
        with execution.autocast(device, precision):
            output = network(images.contiguous(memory_format=torch.channels_last))
        logits = execution.promote_logits(output[0] if isinstance(output, tuple) else output)
        meter.add(logits, labels)

    training = network.training
    network.eval()
    team = team or Team()
    shared: dict[str, Any] = {"part": (team.rank, team.size)} if team.size > 1 else {}
    team.take_buffers(network)
    with execution.use_precision(device, precision):
        for images, labels in batches.epoch(batch_size, epoch=0, seed=0, shuffle=False, **shared):
            if not len(labels):
                continue
            if graphs is None:
                score(images, labels)
            else:
                graphs.run("evaluation", score, images, labels)
    network.train(training)
    team.add_up(meter.sums)
    return meter.read()
