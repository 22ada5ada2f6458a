"""A journal of long work: its records and the state to go on from, kept in one checkpoint.

    journal = Journal(CheckpointStorage.in_file(path))
    saved = journal.restore()               # None, or what an interrupted run saved; its records are in the journal
    journal.save(lambda: {"job": job.state_dict()})

A checkpoint is written whole or not at all, in a thread of its own while the work goes on; records become JSON text once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """The records of long work, and the state that it goes on from; append to `records` (plain values, oldest first),
    then `save`."""

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
        from pcdarts_tune.core.steps.checkpoints import load_snapshot

        if self._storage is None or (data := self._storage.read()) is None:
            return None
        saved: dict[str, Any] = load_snapshot(data)
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


def digest(recipe: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a JSON-able recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
