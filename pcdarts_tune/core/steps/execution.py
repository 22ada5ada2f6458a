"""How steps are executed: torch.compile for the network, and what came of precision and graphs, in words.

compile_forward(network, True)
with compiling(True):
    network(images)                 # compiled at the first call
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pcdarts_tune.core.steps.graphs import StepGraphs


class CompileFailed(ValueError):
    """torch.compile could not compile the network."""


def compile_forward(network: nn.Module, wanted: bool | str) -> None:
    """Compile the network's forward pass in place; the work is done at its first calls, within `compiling`.

    Args:
        wanted: whether to, or the name of one of torch.compile's backends.
    """
    if wanted:
        backend = wanted if isinstance(wanted, str) else "inductor"
        with compiling(wanted):
            # one program for each size of batch: a CUDA graph wants fixed shapes, and there are two
            network.compile(backend=backend, dynamic=False)


@contextmanager
def compiling(wanted: bool | str) -> Iterator[None]:
    """Say plainly when torch.compile fails.

    Raises:
        CompileFailed: what torch said, in one line, and what to do.
    """
    if not wanted:
        yield
        return
    from torch import _dynamo
    from torch._dynamo.exc import TorchDynamoException

    try:
        # architecture and weight steps, two sizes of batch, evaluation: each is a program of its own
        with _dynamo.config.patch(recompile_limit=64):
            yield
    except TorchDynamoException as error:
        said = " ".join(str(error).split())[:300]
        raise CompileFailed(
            f"torch.compile could not compile the network: {said}; go on without --compile"
        ) from error


def resolved(
    device: torch.device, precision: str, compiled: bool | str, graphs: StepGraphs
) -> dict[str, str]:
    """How steps are in fact executed, in words: precision, compile, graphs (and why not), device."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "precision": precision,
        "compile": str(compiled) if compiled else "off",
        "graphs": "on" if graphs.reason is None else f"off: {graphs.reason}",
        "device": named,
    }
