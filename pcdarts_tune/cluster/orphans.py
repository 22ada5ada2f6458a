"""What a killed driver leaves: Ray's processes and workers, which live on for seconds up to a minute, with their memory.

with marked(sweep.about["id"]):         # around ray.init: all that it starts inherits the mark
    ...
end_orphans(sweep.about["id"])          # by the next driver, once it holds the sweep's lock

A worker that still trains would hold a GPU's memory and write to the folder of a trial that runs again. The processes are
found by a variable of their environment. Ray's two agents overwrite their environment with a title: they are found by having
lost their raylet, without which they do nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""How the titles of Ray's agents begin."""
VARIABLE = "PCDARTS_TUNE_SWEEP"
"""Holds the identity of the sweep that a process was started for."""


@contextmanager
def marked(identity: str) -> Iterator[None]:
    """Whatever is started within the block belongs to the sweep with that identity."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = identity
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def end_orphans(identity: str, timeout: float = 10.0) -> int:
    """End what an earlier driver of the sweep started on this machine and left, and wait until it is gone; how many.

    To be called with the sweep's lock held: then no other driver of it lives.
    """
    ended: set[int] = set()
    end = time.monotonic() + timeout
    # again and again: one that is being ended may have started another since they were listed
    while (left := [*(own := _processes(identity)), *_lost_agents()]) and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended.update(own)
        time.sleep(0.02)
    return len(ended)


def _processes(identity: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's cannot be read; others have just ended
            if process.environ().get(VARIABLE) == identity and process.pid != os.getpid():
                found.append(process.pid)
    return found


def _lost_agents() -> list[int]:
    """Ray's agents of this user whose raylet is gone, whichever Ray they belonged to: they end within a minute anyway."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if not " ".join(process.cmdline()).startswith(AGENTS) or process.uids().real != os.getuid():
                continue
            parent = process.parent()
            if parent is not None and parent.name() != "raylet":
                found.append(process.pid)
    return found
