"""Work that goes on beside a training, and its checkpoints, which are written so.

checkpoints = Checkpoints()
for epoch in search:
    checkpoints.put(search.state_dict(), lambda snapshot: write_snapshot(path, snapshot))   # returns at once
checkpoints.flush()                                                                         # waits
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from pcdarts_tune.core.steps.checkpoints import Snapshot

Job = Callable[[], None]


class Background:
    """One thread that does one job at a time, and of the jobs that wait only the newest.

    The thread lives as long as there is something to do. Python waits for it before it exits, also after Ctrl-C, but not
    where it is a `daemon`. `running` is the job that is being done.
    """

    def __init__(self, name: str, *, daemon: bool = False) -> None:
        self._name, self._daemon = name, daemon
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self.running: Job | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def put(self, job: Job) -> None:
        """Have `job` done, in place of one that still waits.

        Raises:
            BaseException: what an earlier job raised, once; `job` is then not taken.
        """
        with self._changed:
            self._raise()
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=self._daemon)
                self._thread.start()

    def withdraw(self) -> None:
        """Take back the job that waits, if one does."""
        with self._changed:
            self._waiting = None

    def flush(self) -> None:
        """Wait until all is done.

        Raises:
            BaseException: what a job raised, once.
        """
        with self._changed:
            while self._thread is not None:
                self._changed.wait()
            self._raise()

    def _raise(self) -> None:
        if (error := self._error) is not None:
            self._error = None
            raise error

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._waiting is None or self._error is not None:
                    self._waiting = self.running = self._thread = None
                    self._changed.notify_all()
                    return
                job = self.running = self._waiting
                self._waiting = None
            try:
                job()
            except BaseException as error:  # told to whoever puts in the next
                self._error = error


Write = Callable[[Snapshot], None]


class Checkpoints:
    """Writes states in a thread of its own, whole, the newest in the end; a training stands still only while one is copied.

    Two copies are kept, one being written, one being filled.
    """

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
        writing = running.args[0] if isinstance(running, partial) else None
        snapshot = next(free for free in self._snapshots if free is not writing)
        snapshot.take(state)
        self._background.put(partial(write, snapshot))

    def flush(self) -> None:
        """Wait until the newest state is written.

        Raises:
            BaseException: what a `write` raised, once.
        """
        self._background.flush()
