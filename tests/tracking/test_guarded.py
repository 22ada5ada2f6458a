"""A server and what it started end with the process that started it, whatever ends that."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

SERVER = "import subprocess, sys, time; subprocess.Popen(['sleep', '300']); time.sleep(300)"
STARTS = f"""
import os, sys, tempfile, time
from pcdarts_tune.tracking.guarded import guarded, signals_end_the_block
with tempfile.TemporaryFile() as log, signals_end_the_block():
    with guarded([sys.executable, "-c", {SERVER!r}], log=log, environment=os.environ) as server:
        print(server.pid, flush=True)
        server.wait()
"""


@pytest.mark.usefixtures("hangups_are_heard")
@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1), (signal.SIGKILL, -9)]
)
def test_all_of_it_ends(sign: int, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        guard = psutil.Process(int(starter.stdout.readline()))
        while len(group := [guard, *guard.children(recursive=True)]) < 3:
            assert guard.is_running()
        starter.send_signal(sign)
        assert starter.wait(timeout=30) == code or sign == signal.SIGINT
    assert psutil.wait_procs(group, timeout=20)[1] == []


def test_the_guard_ends_with_the_server() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS.replace("300", "0.1")], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.wait(timeout=30) == 0
