"""When a sweep stops before its end: Ctrl-C, SIGTERM or a closed terminal once, cleanly; twice, at once; or its time is
spent.

with Stop(budget=7200) as stop:
    while not stop.asked: ...
stop.reason     # "interrupted" or "time budget"
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Literal, Self

ReasonToStop = Literal["done", "interrupted", "time budget"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether the sweep shall stop.

    Args:
        budget: seconds; None for no end.
        quiet: do not say on stderr that a signal was heard.
    """

    def __init__(self, budget: float | None, *, quiet: bool = True) -> None:
        self._quiet = quiet
        self._deadline = None if budget is None else time.monotonic() + budget
        self._signalled = False
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return self._signalled or (self._deadline is not None and time.monotonic() >= self._deadline)

    @property
    def reason(self) -> ReasonToStop:
        return "interrupted" if self._signalled or self._deadline is None else "time budget"

    def __enter__(self) -> Self:
        self.listen()
        return self

    def listen(self) -> None:
        """Take the signals; once more after `ray.init`, which takes SIGTERM for itself."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            # under nohup the terminal may go
            if signal.getsignal(number) is not signal.SIG_IGN:
                before = signal.signal(number, self._on_signal)
                self._before.setdefault(number, before)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        if not self._quiet:
            # past Python's buffers, whose locks the interrupted code may hold
            with suppress(OSError):
                os.write(2, b"\nstopping; Ctrl-C once more stops at once\n")
