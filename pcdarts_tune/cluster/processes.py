"""Processes that a sweep starts: how they are marked, and how those that a killed driver left are ended.

    with mark_processes(sweep.about["id"]):             # around ray.init: all that it starts inherits the mark
        ...
    end_leftover_processes(sweep.about["id"])           # by the next driver, once it holds the sweep's lock

After a driver was killed, a worker that still trains would hold a GPU's memory and write to the folder of a trial that runs
again. A variable of their environment marks them; Ray's two agents overwrite theirs, and are found by the lost raylet.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import psutil

from pcdarts_tune.tracking.scope import set_environment

AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""How the titles of Ray's agents begin."""
VARIABLE = "PCDARTS_TUNE_SWEEP"
"""The environment variable with the identity of the sweep that a process was started for."""


@contextmanager
def change_environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, and remove those with None, for the length of the block."""
    before = set_environment(values)
    try:
        yield
    finally:
        set_environment(before)


def mark_processes(identity: str) -> AbstractContextManager[None]:
    """Processes that are started within the block belong to the sweep with that identity."""
    return change_environment({VARIABLE: identity})


def end_leftover_processes(identity: str, timeout: float = 10.0) -> int:
    """Kill what an earlier driver of the sweep left on this machine, and wait until it is gone; the caller holds the
    sweep's lock, so that no other driver of it lives.

    Returns:
        The number of processes, without Ray's agents, that were found within `timeout` seconds.
    """
    ended: set[int] = set()
    end = time.monotonic() + timeout
    # repeated, since a process that is being killed may have started another after they were listed
    while (left := [*(own := _find_marked(identity)), *_find_lost_agents()]) and time.monotonic() < end:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended.update(own)
        time.sleep(0.02)
    return len(ended)


def list_children() -> list[psutil.Process]:
    """The processes that this one has started, and those that they have."""
    return psutil.Process().children(recursive=True)


def end_new_children(before: Sequence[psutil.Process]) -> None:
    """Kill the children that were not among those, and wait until they are gone."""
    new = [child for child in list_children() if child not in before]
    for child in new:
        with suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(new, timeout=10)


def _find_marked(identity: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's cannot be read; others have just ended
            if process.environ().get(VARIABLE) == identity and process.pid != os.getpid():
                found.append(process.pid)
    return found


def _find_lost_agents() -> list[int]:
    """This user's agents of any Ray whose raylet is gone; they would end within a minute anyway."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if not " ".join(process.cmdline()).startswith(AGENTS) or process.uids().real != os.getuid():
                continue
            parent = process.parent()
            if parent is not None and parent.name() != "raylet":
                found.append(process.pid)
    return found
