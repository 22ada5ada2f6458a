"""Work in a child of this process, which may be killed at one of its steps: what was imported is there at once, and stores that
it opens are its own.

in_child(lambda: make_sweep(home, "first", FOUND))
killed = in_child(lambda: command_line(["delete", "first", "--yes"]), kill_at=3)
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

STEPS = frozenset({"os.rename", "os.remove", "os.rmdir", "shutil.rmtree"})
"""Audit events that change what is on the disk."""


def in_child(work: Callable[[], object], *, kill_at: int = 0, output: Path | None = None) -> bool:
    """Do it; whether the child was killed by SIGKILL before its change number `kill_at` of what lies on the disk.

    Raises:
        AssertionError: it raised, or returned something else than None, True and 0.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if output is not None:
                sys.stdout = sys.stderr = output.open("w", encoding="utf-8")
            if kill_at:
                _kill_before(kill_at)
            code = 0 if work() in (None, 0, True) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    said = output.read_text() if output is not None else "see above"
    assert os.waitstatus_to_exitcode(status) == 0, said
    return False


def _kill_before(number: int) -> None:
    count = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal count
        if event in STEPS:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
