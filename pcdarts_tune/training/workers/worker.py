"""Where workers and driver meet: an actor on the driver's node that keeps the checkpoint and hands on what was reported.

    desk = open_desk(checkpoint)                        # the driver
    ray.get(desk.state.remote())                        # a worker that begins: the checkpoint's bytes, or None
    ray.get(desk.keep.remote(data))                     # rank 0, beside the training: written whole or not at all
    desk.report.remote(3, {"metrics": ...})
    ray.get(desk.news.remote(3))                        # the driver: what was reported from epoch 3 on

So the checkpoint lies where the driver wants it, on a cluster whose nodes share no disk too.

What each of Ray Train's workers runs: its share of every batch, from the last checkpoint to the last epoch.

    TorchTrainer(train_worker, train_loop_config={"task": Task(...)}, ...)

All ranks go through the same epochs in step (core/groups.py). Rank 0 reports each epoch and has its state written beside the
next one. A worker that is lost ends the others; Ray starts all of them anew, and they go on from the checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.training.journal import CheckpointStorage, Resumable

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.epochs import TrainEpoch
    from pcdarts_tune.core.groups import Team
    from pcdarts_tune.core.images.data import Batches
    from pcdarts_tune.training.work import Retraining


@dataclass(frozen=True)
class Trouble:
    """What ends the training for good: running it again would end alike."""

    kind: str
    message: str
    hint: str | None = None
    errno: int | None = None


INTERRUPTED = Trouble("Interrupted", "the driver has stopped")


@dataclass(frozen=True)
class News:
    """Since the driver asked last.

    Attributes:
        entries: what is kept of the epochs that were asked for, as far as they are done.
        starts: how often the workers have begun.
        notes: what to tell the user.
    """

    entries: list[dict[str, Any]]
    starts: int
    notes: list[str]
    trouble: Trouble | None


@dataclass
class Desk:
    """The actor's state; every method is called from another process."""

    checkpoint: Path
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    told: Trouble | None = None

    def state(self) -> bytes | None:
        """The checkpoint, for workers that begin."""
        self.starts += 1
        return self.checkpoint.read_bytes() if self.checkpoint.exists() else None

    def keep(self, data: bytes) -> None:
        """Write a checkpoint.

        Raises:
            RuntimeError: when the driver was interrupted.
        """
        from pcdarts_tune.core.steps.checkpoints import write_whole

        if self.told == INTERRUPTED:
            raise RuntimeError(self.told.message)
        write_whole(self.checkpoint, [data])

    def report(self, epoch: int, entry: dict[str, Any]) -> None:
        """An epoch was done; one that is done again comes out the same."""
        self.entries[epoch] = entry

    def note(self, about: str, text: str) -> None:
        """Tell the user; of several notes about one thing, the first."""
        self.notes.setdefault(about, text)

    def fail(self, trouble: Trouble) -> None:
        """End it; what went wrong first counts."""
        self.told = self.told or trouble

    def trouble(self) -> Trouble | None:
        """Why it ends, if it does."""
        return self.told

    def news(self, epoch: int, notes: int = 0) -> News:
        """What was reported: epochs from `epoch` on without a gap, notes from number `notes` on."""
        entries = []
        while epoch in self.entries:
            entries.append(self.entries[epoch])
            epoch += 1
        return News(entries, self.starts, list(self.notes.values())[notes:], self.told)


def open_desk(checkpoint: Path) -> Any:
    """The actor, on this node; it goes with the driver."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote(checkpoint)


FINAL = (UserError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError, OSError)
"""What would go wrong in the same way again; a lost worker shows as a RuntimeError or a ConnectionError."""


@dataclass(frozen=True)
class Task:
    """What the workers are told.

    Attributes:
        work: but for its images, which lie in Ray's object store.
        images: a reference to them, packed.
        desk: the actor.
        threads: of one worker.
    """

    work: Retraining
    images: Any
    desk: Any
    threads: int


def train_worker(config: dict[str, Task]) -> None:
    """The function that Ray Train calls in each worker; `config["task"]` is the `Task`."""
    import ray

    task = config["task"]
    if ray.get(task.desk.trouble.remote()) is not None:
        return
    try:
        _train(task)
    except Exception as raised:
        trouble = trouble_of(raised)
        if trouble is None:
            raise  # Ray starts the workers anew
        ray.get(task.desk.fail.remote(trouble))
        if not isinstance(raised, ArithmeticError):
            raise  # the others may wait for this one: Ray ends them, and nobody begins again


def trouble_of(raised: Exception) -> Trouble | None:
    """What would go wrong in the same way again; None where a new start may mend it."""
    error = getattr(raised, "cause", None) or raised  # what the desk met, Ray wraps
    if not isinstance(error, FINAL) or isinstance(error, ConnectionError | TimeoutError):
        return None
    said = " ".join(str(error).split())[:2000]
    code = error.errno if isinstance(error, OSError) else None
    return Trouble(type(error).__name__, said, getattr(error, "hint", None), code)


def _train(task: Task) -> None:
    from dataclasses import replace

    import ray
    import torch
    from ray import train
    from ray.train.torch import get_device

    from pcdarts_tune.cluster.shipping import unpack
    from pcdarts_tune.core.groups import Team
    from pcdarts_tune.machine import set_threads
    from pcdarts_tune.tracking.provenance import machine
    from pcdarts_tune.training.work import epoch_record

    set_threads(task.threads)
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where NCCL puts objects
    context = train.get_context()
    team = Team(context.get_world_rank(), context.get_world_size())
    logging.getLogger("pcdarts_tune.core.images.stream").addHandler(_Notes(task.desk))
    work = replace(task.work, images=unpack(ray.get(task.images)))
    training = work.build(device, team)
    known: dict[str, Any] = {"machine": machine(device)}

    def kept(epoch: TrainEpoch) -> dict[str, Any]:
        return {**epoch_record(epoch), **known, "execution": training.execution()}

    epochs = Resumable(training, _shared_checkpoint(task.desk, team, device), work.recipe, kept)
    for entry in epochs:
        if team.rank == 0:
            task.desk.report.remote(len(epochs.history) - 1, entry)
        for batches in (training.train, training.valid):
            _share_damaged(batches, team)


def _share_damaged(batches: Batches | None, team: Team) -> None:
    """How many damaged files may be is a share of the whole set, of which each worker read a part.

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


def _shared_checkpoint(desk: Any, team: Team, device: torch.device) -> CheckpointStorage:
    """The checkpoint that the desk keeps: rank 0 reads and writes it, the others get what it read."""

    def read() -> bytes | None:
        import ray
        from torch import distributed as dist

        found: list[bytes | None] = [ray.get(desk.state.remote()) if team.rank == 0 else None]
        if team.size > 1:
            # not each for itself: what a worker of the last start still writes may come in between
            dist.broadcast_object_list(found, 0, device=device)
        return found[0]

    def write(data: Iterable[bytes | memoryview]) -> None:
        import ray

        ray.get(desk.keep.remote(b"".join(data)))

    return CheckpointStorage("the training's checkpoint", read, write if team.rank == 0 else None)


class _Notes(logging.Handler):
    """Sends warnings to the desk; a damaged file is named once, whichever worker found it."""

    def __init__(self, desk: Any) -> None:
        super().__init__(logging.WARNING)
        self.desk = desk

    def emit(self, record: logging.LogRecord) -> None:
        about = record.args[0] if isinstance(record.args, tuple) and record.args else record.getMessage()
        self.desk.note.remote(str(about), record.getMessage())
