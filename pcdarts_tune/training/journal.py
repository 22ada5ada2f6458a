"""Long work that goes on where it stopped: after every epoch its state and all records are written to one checkpoint.

work = Resumable(training, CheckpointStorage.in_file(folder / "checkpoint"), digest({"space": ..., "seed": 0}), record)
for entry in work:                  # the epochs that are left
    ...
work.history[-1]                    # includes the epochs of the interrupted run

The checkpoint is written whole or not at all, in a thread of its own while the next epoch runs. `Journal` is the part
without the loop: records that become JSON text once, and a state of any kind beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.core.steps.background import Checkpoints
    from pcdarts_tune.core.steps.checkpoints import Snapshot

Record = dict[str, Any]
UNREADABLE = (OSError, ValueError, LookupError, TypeError)
"""The errors that `Journal.restore` raises where there is no whole checkpoint."""


@dataclass(frozen=True)
class CheckpointStorage:
    """Where a checkpoint is kept.

    Attributes:
        name: what messages call it.
        read: gives its bytes; None where there is none.
        write: keeps its bytes, whole or not at all; called in a thread of its own. None keeps nothing.
    """

    name: str
    read: Callable[[], bytes | None]
    write: Callable[[Iterable[bytes | memoryview]], None] | None

    @classmethod
    def in_file(cls, path: Path) -> CheckpointStorage:
        """A file, whose folder is made when it is written."""

        def write(data: Iterable[bytes | memoryview]) -> None:
            from pcdarts_tune.core.steps.checkpoints import write_whole

            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)

        return cls(str(path), lambda: path.read_bytes() if path.exists() else None, write)


class Journal:
    """The records of long work, and the state that it goes on from.

    Attributes:
        records: plain values, oldest first; append to it, then `save`.
    """

    def __init__(self, storage: CheckpointStorage | None) -> None:
        self.records: list[Record] = []
        self._storage = storage
        self._texts: list[str] = []  # the records as JSON, each made once
        self._checkpoints: Checkpoints | None = None

    def restore(self) -> dict[str, Any] | None:
        """Take over the records of the checkpoint.

        Returns:
            What was saved; None where there is no checkpoint.

        Raises:
            OSError, ValueError, LookupError, TypeError: it cannot be read or is no checkpoint; nothing was taken over.
        """
        from pcdarts_tune.core.steps.checkpoints import restored

        if self._storage is None or (data := self._storage.read()) is None:
            return None
        saved: dict[str, Any] = restored(data)
        texts = saved["history"]
        self.records, self._texts = [json.loads(text) for text in texts], list(texts)
        return saved

    def save(
        self, state: Callable[[], Mapping[str, Any]], written: Callable[[int], None] | None = None
    ) -> None:
        """Copy the state and return; it is written with all records. One that waits is overtaken by a newer one.

        Args:
            state: gives what to keep beside the records; not called where nothing is kept.
            written: called afterwards with the number of records in the checkpoint, in the thread that wrote it.

        Raises:
            OSError: an earlier checkpoint could not be written.
        """
        from pcdarts_tune.core.steps.background import Checkpoints

        if self._storage is None or self._storage.write is None:
            return
        if self._checkpoints is None:
            self._checkpoints = Checkpoints()
        self._texts += [json.dumps(record) for record in self.records[len(self._texts) :]]
        keep, count = self._storage.write, len(self._texts)

        def write(snapshot: Snapshot) -> None:
            keep(snapshot.chunks())
            if written is not None:
                written(count)

        self._checkpoints.put({"history": self._texts, **state()}, write)

    def flush(self) -> None:
        """Wait until the newest checkpoint is written.

        Raises:
            OSError: it could not be.
        """
        if self._checkpoints is not None:
            self._checkpoints.flush()


class Job(Protocol):
    """A search or a training of the core: a generator of epochs whose whole state can be taken and put back."""

    def __iter__(self) -> Iterator[Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Resumable:
    """A job with its checkpoint; iterating runs the epochs that are left and gives their records.

    Args:
        job: computes the epochs.
        storage: where the checkpoint is kept; None keeps none.
        recipe: digest of everything that decides the result; a checkpoint of another recipe is refused.
        record: says what to keep of an epoch, as plain values.

    Raises:
        UserError: the checkpoint belongs to another recipe or cannot be read.
    """

    def __init__(
        self, job: Job, storage: CheckpointStorage | None, recipe: str, record: Callable[[Any], Record]
    ) -> None:
        self.job, self.recipe, self.record = job, recipe, record
        self._storage, self._journal = storage, Journal(storage)
        self.restore()

    @property
    def history(self) -> list[Record]:
        """The records of all epochs so far."""
        return self._journal.records

    def __iter__(self) -> Iterator[Record]:
        """Run the epochs that are left; when this ends, however it ends, the last one is in the checkpoint.

        Raises:
            OSError: an earlier epoch's checkpoint could not be written.
        """
        try:
            for epoch in self.job:
                self.history.append(self.record(epoch))
                self._journal.save(lambda: {"recipe": self.recipe, "job": self.job.state_dict()})
                yield self.history[-1]
        except BaseException:
            with suppress(Exception):  # what went wrong first counts
                self._journal.flush()
            raise
        self._journal.flush()

    def restore(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self._storage is None:
            return
        name = self._storage.name
        advice = f"remove {Path(name).name} there to start anew, or choose another place with -o"
        try:
            if (saved := self._journal.restore()) is None:
                return
            recipe, state = saved["recipe"], saved["job"]
        except UNREADABLE as error:
            raise UserError(f"the checkpoint {name} cannot be read: {error}", hint=advice) from error
        if recipe != self.recipe:
            raise UserError(
                f"{name} was left by another recipe, genotype, seed or data set, so this cannot go on from it",
                hint=advice,
            )
        try:
            self.job.load_state_dict(state)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the checkpoint {name} does not fit: {reason}", hint=advice) from error


def digest(recipe: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a JSON-able recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def records_left(checkpoint: Path, recipe: str) -> list[Record]:
    """The records in a checkpoint of that recipe; none where there is no such checkpoint, or it cannot be read."""
    journal = Journal(CheckpointStorage.in_file(checkpoint))
    try:
        saved = journal.restore()
        return journal.records if saved is not None and saved["recipe"] == recipe else []
    except UNREADABLE:
        return []
