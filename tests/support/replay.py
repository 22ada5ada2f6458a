"""A recorder for `StepGraphs` that does on a CPU what a CUDA graph does on a GPU.

While a step is recorded, every kernel it launches is noted with its tensors; a replay launches the same kernels on the
same tensors again and runs no Python of the step. So whatever a graph would freeze is frozen here as well: numbers that
the host computed, tensors that were replaced, branches that were taken. Recording, unlike CUDA's, does run the kernels,
so what they changed is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.graphs import Recorder, StepGraphs
from pcdarts_tune.core.steps.optimizers import move_rate_to
from support.fake_cuda import WAITS


class _Noted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.launches: list[tuple[Any, Any, Any, list[Tensor | None]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        kwargs = kwargs or {}
        # as they are now: their shapes may be changed in place later
        noted = tree_map_only(Tensor, Tensor.detach, (args, kwargs))
        out = func(*args, **kwargs)
        if not func.is_view and torch.Tag.inplace_view not in func.tags:
            # an operator that changes its argument returns it: nothing is to be copied then
            given = {id(leaf) for leaf in tree_leaves((args, kwargs))}
            made = [
                leaf.detach() if isinstance(leaf, Tensor) and id(leaf) not in given else None
                for leaf in tree_leaves(out)
            ]
            self.launches.append((func, *noted, made))
        return out


class Replay(Recorder):
    """A recorder for the CPU; `recorded` and `replayed` count."""

    def __init__(self, graphs: StepGraphs) -> None:
        self.graphs, self.recorded, self.replayed = graphs, 0, 0

    def rehearse(self, step: Callable[[], None]) -> None:
        step()

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        kept = list(self.graphs.kept())
        saved = [tensor.detach().clone() for tensor in kept]
        noted = _Noted()
        try:
            with torch.random.fork_rng([]), noted:
                step()
        finally:
            with torch.no_grad():
                for tensor, value in zip(kept, saved, strict=True):
                    tensor.copy_(value)

        @torch.no_grad()
        def replay() -> None:
            self.replayed += 1
            for func, args, kwargs, made in noted.launches:
                for old, new in zip(made, tree_leaves(func(*args, **kwargs)), strict=True):
                    if old is not None:
                        old.copy_(new)

        return replay


def as_on_cuda(job: Search | Training) -> list[Replay]:
    """Let a job on a CPU take the way it takes on CUDA: fused optimizers, rates as tensors, captured steps.

    Returns the recorders, one for each time the graphs were made anew.
    """
    optimizers = [job.optimizer] + ([job.architect.optimizer] if isinstance(job, Search) else [])
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["fused"] = True
        move_rate_to(optimizer, torch.device("cpu"))
    made: list[Replay] = []

    def new_recorder() -> Replay:
        made.append(Replay(job.graphs))
        return made[-1]

    job.graphs.reason, job.graphs.new_recorder = None, new_recorder
    return made
