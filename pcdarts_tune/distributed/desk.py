"""Where workers and driver meet: an actor on the driver's node that keeps the checkpoint and hands on what was reported.

    desk = open_desk(checkpoint)                        # the driver
    ray.get(desk.state.remote())                        # a worker that begins: the checkpoint's bytes, or None
    ray.get(desk.keep.remote(data))                     # rank 0, beside the training: written whole or not at all
    desk.report.remote(3, {"metrics": ...})
    ray.get(desk.news.remote(3))                        # the driver: what was reported from epoch 3 on

So the checkpoint lies where the driver wants it, on a cluster whose nodes share no disk too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        from pcdarts_tune.core.state import write_whole

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
