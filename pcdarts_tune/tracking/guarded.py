"""A server that ends with the process that started it, however that ends: by itself, by a signal, killed.

    with guarded([sys.executable, "-m", "mlflow", "server"], log=file) as server:
        server.wait()

Between the two stands a process that leads the server's group and holds the end of a pipe. When the other end closes, which
the system sees to, it ends the group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

ENDS_WITHIN = 10.0
"""Seconds after which a server that was asked to end is killed."""

_GUARD = f"""
import os, select, signal, subprocess, sys, time
# handled, not ignored: what is ignored, the server would ignore too
for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(sign, lambda *_: None)
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
while server.poll() is None and not select.select([0], [], [], 0.2)[0]:
    pass
os.killpg(0, signal.SIGTERM)
end = time.monotonic() + {ENDS_WITHIN}
while server.poll() is None and time.monotonic() < end:
    time.sleep(0.05)
os.killpg(0, signal.SIGKILL)
"""


@contextmanager
def guarded(
    command: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The process that stands for the server for the length of the block: it ends when the server does."""
    # a session of its own: Ctrl-C reaches this process alone, which then ends the server and its workers
    guard = subprocess.Popen(
        [sys.executable, "-S", "-c", _GUARD, *command],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=dict(environment),
    )
    assert guard.stdin is not None
    try:
        yield guard
    finally:
        guard.stdin.close()
        try:
            guard.wait(timeout=ENDS_WITHIN + 5)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


@contextmanager
def signals_end_the_block() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit, so that the block cleans up; under nohup the terminal may go. In a container the
    first process would not hear them otherwise."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for sign in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(sign) is not signal.SIG_IGN:
                before[sign] = signal.signal(sign, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
