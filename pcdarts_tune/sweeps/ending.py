"""Why a sweep, or one run of Ray Tune, ends before its time: Ctrl-C, SIGTERM, a closed terminal, the time spent, a lost process.

    with Stop(budget=7200) as stop:
        while not stop.asked: ...
    stop.reason     # "interrupted" or "time budget"

A trial's process that dies is Tune's to start again. One that Ray's memory monitor ended raises out of `fit()` instead, and all
trials are cut off with it: `find_loss(error)` says which was lost, None where something else went wrong.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

from pcdarts_tune.errors import error_chain

ReasonToStop = Literal["done", "interrupted", "time budget"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether the sweep shall stop: a signal asks for it once, cleanly, and twice, at once.

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


LOW_ON_MEMORY = "running low on memory"


@dataclass(frozen=True)
class Loss:
    """What was lost: in words, and the ids of the processes' actors where Ray says them."""

    reason: str
    actors: frozenset[str] = frozenset()


def find_loss(error: Exception) -> Loss | None:
    """What an error that `fit()` raised says of lost processes; None when it is about something else."""
    from ray.exceptions import RayError

    text = str(error)
    actors = frozenset(re.findall(r"Actor\(([0-9a-f]{16,})\)", text.partition("Selected to kill")[2]))
    if LOW_ON_MEMORY in text:
        return Loss(_out_of_memory(text), actors)
    if any(isinstance(each, RayError) for each in error_chain(error)):
        return Loss(" ".join(text.split())[:300], actors)
    return None


def drop_frames(error: BaseException) -> None:
    """Drop the frames that an error holds: in them are handles of Ray's actors, and one that is freed when Ray has been
    shut down ends the process on the spot."""
    for each in error_chain(error):
        each.__traceback__ = None


def _out_of_memory(text: str) -> str:
    machine = re.search(r"was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit", text)
    process = re.search(r"actual memory used=([\d.]+ ?GB)", text)
    of = f" ({machine[1]} of {machine[2]} used)" if machine else ""
    used = f", which held {process[1]}" if process else ""
    return (
        f"out of memory: the machine ran low{of} and Ray ended the process{used}; "
        "a smaller batch, a larger K, or fewer trials at a time (--max-concurrent) need less"
    )
