"""When a sweep stops before its end: Ctrl-C or SIGTERM once, cleanly; Ctrl-C twice, at once; or its time is spent.

with Stop(budget=7200) as stop:
    while not stop.asked: ...
stop.reason     # "interrupted" or "time budget"
"""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Literal, Self

ReasonToStop = Literal["done", "interrupted", "time budget"]


class Stop:
    """Whether the sweep shall stop.

    Args:
        budget: seconds; None for no end.
    """

    def __init__(self, budget: float | None) -> None:
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
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
