"""Checkpoints written beside the training: its state is copied at once, and written while it goes on.

    checkpoints = Checkpoints()
    for epoch in search:
        checkpoints.put(search.state_dict(), lambda snapshot: write_snapshot(path, snapshot))
    checkpoints.flush()

Training stands still for the copy alone. Where writing takes longer than an epoch, a state that waits is overtaken by
the newer one: what is written is whole, and the newest gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pcdarts_tune.core.background import Background
from pcdarts_tune.core.snapshot import Snapshot

Write = Callable[[Snapshot], None]


class Checkpoints:
    """Writes states in a thread of its own; two copies of the state are kept, one being written, one being filled."""

    def __init__(self) -> None:
        self._background = Background("checkpoints")
        self._snapshots = (Snapshot(), Snapshot())

    def put(self, state: Any, write: Write) -> None:
        """Copy `state` (see Snapshot) and have `write` called with the copy.

        Raises:
            BaseException: what an earlier `write` raised, once.
        """
        self._background.withdraw()  # what waits is older; its memory is taken
        running = self._background.running
        writing = running.snapshot if isinstance(running, _Writing) else None
        snapshot = next(free for free in self._snapshots if free is not writing)
        snapshot.take(state)
        self._background.put(_Writing(snapshot, write))

    def flush(self) -> None:
        """Wait until the newest state is written.

        Raises:
            BaseException: what a `write` raised, once.
        """
        self._background.flush()


class _Writing:
    """A job: one snapshot to be written."""

    def __init__(self, snapshot: Snapshot, write: Write) -> None:
        self.snapshot, self._write = snapshot, write

    def __call__(self) -> None:
        self._write(self.snapshot)
