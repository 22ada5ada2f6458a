"""What a killed driver leaves: Ray's processes and workers, which live on for seconds up to a minute, with their memory.

with marked(sweep.about["id"]):         # around ray.init: all that it starts inherits the mark
    ...
end_orphans(sweep.about["id"])          # by the next driver, once it holds the sweep's lock

A worker that still trains would hold a GPU's memory and write to the folder of a trial that runs again. Found by their
environment in /proc; where there is none they end by themselves. Ray's two agents overwrite theirs with their title: they are
known by having lost their raylet, without which they do nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")
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
    wanted = f"{VARIABLE}={identity}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # another user's cannot be read; a zombie's is empty
            if wanted in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _lost_agents() -> list[int]:
    """Ray's agents of this user whose raylet is gone, whichever Ray they belonged to: they end within a minute anyway."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if not (entry / "cmdline").read_bytes().startswith(AGENTS) or entry.stat().st_uid != os.getuid():
                continue
            # "pid (name) state parent ..."; the name may hold anything
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            if Path(f"/proc/{parent}/comm").read_text(errors="replace").strip() != "raylet":
                found.append(int(entry.name))
        except OSError:
            continue
    return found
