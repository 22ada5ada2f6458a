"""A network's loss and accuracy on a set of images.

>>> loss, accuracy = evaluate(network, batches, 96)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.groups import Team
from pcdarts_tune.core.images.data import Batches
from pcdarts_tune.core.steps.execution import autocast, hardware, widened
from pcdarts_tune.core.steps.graphs import StepGraphs
from pcdarts_tune.core.steps.meter import Meter


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Batches,
    batch_size: int,
    *,
    precision: str = "float32",
    graphs: StepGraphs | None = None,
    meter: Meter | None = None,
    team: Team | None = None,
) -> tuple[float, float]:
    """(mean loss, accuracy in 0..1) in evaluation mode over every image once, in order; the mode is put back.

    Args:
        precision: of the forward passes.
        graphs, meter: to replay the passes, with the meter among what the graphs keep; None launches them one by one.
        team: the processes that share the images; all get the result, of the network with rank 0's running statistics.
    """
    device = next(network.parameters()).device
    meter = meter or Meter(device)
    meter.clear()

    def score(images: Tensor, labels: Tensor) -> None:
        with autocast(device, precision):
            output = network(images.contiguous(memory_format=torch.channels_last))
        logits = widened(output[0] if isinstance(output, tuple) else output)
        meter.add(F.cross_entropy(logits, labels), logits, labels)

    training = network.training
    network.eval()
    shared: dict[str, Any] = {}
    if team is not None and team.size > 1:
        shared["part"] = (team.rank, team.size)
        team.take_buffers(network)
    with hardware(device, precision):
        for images, labels in batches.epoch(batch_size, epoch=0, seed=0, shuffle=False, **shared):
            if not len(labels):
                continue
            if graphs is None:
                score(images, labels)
            else:
                graphs.run("evaluation", score, images, labels)
    network.train(training)
    if team is not None:
        team.summed(meter.sums)
    loss, accuracy, _ = meter.read()
    return loss, accuracy
