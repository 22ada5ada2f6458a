"""What each of Ray Train's workers runs: its part of every batch, from the last checkpoint to the last epoch.

    TorchTrainer(train_worker, train_loop_config={"task": Task(...)}, ...)

All ranks go through the same epochs in step (core/groups.py). Rank 0 reports each epoch and has its state written beside the
next one. A worker that is lost ends the others; Ray starts all of them anew, and they go on from the checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.training.epochs import Resumable
from pcdarts_tune.training.journal import CheckpointStorage
from pcdarts_tune.training.workers.coordinator import final_error

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.groups import Team
    from pcdarts_tune.core.images.data import Batches
    from pcdarts_tune.training.work import Retraining


@dataclass(frozen=True)
class Task:
    """What a worker gets.

    Attributes:
        work: without its images, which lie in Ray's object store.
        images: a reference to them, packed.
        coordinator: the actor, see coordinator.py.
        threads: of one worker.
        plugins: records of those that the work names.
    """

    work: Retraining
    images: Any
    coordinator: Any
    threads: int
    plugins: list[dict[str, Any]]


def train_worker(config: dict[str, Task]) -> None:
    """The function that Ray Train calls in each worker; `config["task"]` is the `Task`."""
    import ray

    task = config["task"]
    if ray.get(task.coordinator.failed.remote()):
        return
    try:
        _train(task)
    except Exception as raised:
        if (error := final_error(raised)) is None:
            raise  # Ray starts the workers anew
        ray.get(task.coordinator.fail.remote(error))
        if not isinstance(raised, ArithmeticError):
            raise  # the others may wait for this one: Ray ends them, and nobody begins again


def _train(task: Task) -> None:
    import ray
    import torch
    from ray import train
    from ray.train.torch import get_device

    from pcdarts_tune.cluster.shipping import unpack
    from pcdarts_tune.core.groups import Team
    from pcdarts_tune.machine import set_threads
    from pcdarts_tune.tracking.provenance import machine

    plugins.declare(task.plugins)
    set_threads(task.threads)
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where NCCL puts objects
    context = train.get_context()
    team = Team(context.get_world_rank(), context.get_world_size())
    logging.getLogger("pcdarts_tune.core.images.stream").addHandler(_Notes(task.coordinator))
    work = replace(task.work, images=unpack(ray.get(task.images)))
    training = work.build(device, team)
    storage, extra = _checkpoint(task.coordinator, team, device), {"machine": machine(device)}
    epochs = Resumable(training, storage, work.recipe, "retrain", extra)
    for entry in epochs:
        if team.rank == 0:
            task.coordinator.post.remote("epoch", (len(epochs.history) - 1, entry))
        for batches in (training.train, training.valid):
            _count_damaged(batches, team)


def _count_damaged(batches: Batches | None, team: Team) -> None:
    """Tell all workers of the damaged files that each has found: how many there may be is a share of the whole set.

    Raises:
        ValueError: all workers together found too many.
    """
    from torch import distributed as dist

    from pcdarts_tune.core.images.stream import StreamBatches

    if team.size == 1 or not isinstance(batches, StreamBatches):
        return
    found: list[dict[str, str]] = [{} for _ in range(team.size)]
    dist.all_gather_object(found, batches.unreadable)
    batches.count_damaged({name: reason for part in found for name, reason in part.items()})


def _checkpoint(coordinator: Any, team: Team, device: torch.device) -> CheckpointStorage:
    """The checkpoint that the coordinator keeps: rank 0 reads and writes it, the others get what it read."""
    import ray
    from torch import distributed as dist

    def read() -> bytes | None:
        found: list[bytes | None] = [ray.get(coordinator.state.remote()) if team.rank == 0 else None]
        if team.size > 1:
            # not each for itself: what a worker of the last start still writes may come in between
            dist.broadcast_object_list(found, 0, device=device)
        return found[0]

    def write(data: Iterable[bytes | memoryview]) -> None:
        ray.get(coordinator.keep.remote(b"".join(data)))

    return CheckpointStorage("the training's checkpoint", read, write if team.rank == 0 else None)


class _Notes(logging.Handler):
    """Sends warnings to the driver."""

    def __init__(self, coordinator: Any) -> None:
        super().__init__(logging.WARNING)
        self.coordinator = coordinator

    def emit(self, record: logging.LogRecord) -> None:
        about = record.args[0] if isinstance(record.args, tuple) and record.args else record.getMessage()
        self.coordinator.post.remote("note", (str(about), record.getMessage()))
