"""Work that goes on beside the training: one thread, one job at a time, and of those that wait only the newest.

    background = Background("checkpoints")
    background.put(write)           # returns at once; raises what an earlier job raised
    background.flush()              # waits

The thread lives as long as there is something to do. Python waits for it before it exits, so what was put in is done
also when the program ends by Ctrl-C.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Background:
    """Does the latest of what it is given.

    Args:
        daemon: do not hold up the end of the process for a job that runs.
    """

    def __init__(self, name: str, *, daemon: bool = False) -> None:
        self._name, self._daemon = name, daemon
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._running: Job | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def running(self) -> Job | None:
        """The job that is being done."""
        return self._running

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
                    self._waiting = self._running = self._thread = None
                    self._changed.notify_all()
                    return
                job = self._running = self._waiting
                self._waiting = None
            try:
                job()
            except BaseException as error:  # told to whoever puts in the next
                self._error = error
