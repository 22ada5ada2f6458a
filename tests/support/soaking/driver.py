"""One run of `sweep` or `resume` in a process of its own: what it says, which phase it is in, and its death.

with Driver(["resume", "s", "--home", str(home)], SweepFolder.of(home, "s"), trials=4) as driver:
    driver.wait_for(Phase.RUNNING, later=2.5)
    driver.kill()                       # -9, the driver alone: what it started is the product's to end
    driver.survivors()                  # its processes that still live
"""

from __future__ import annotations

import enum
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Self

from pcdarts_tune.home import SweepFolder
from support.soaking.environment import fresh

MARK = "PCDARTS_TUNE_SOAK"
"""A variable in the environment of a driver and of all that it starts: they are found by it."""


class Phase(enum.StrEnum):
    """How far a run of a sweep is."""

    CREATING = "creating"  # the sweep is no sweep yet: sweep.json is written last
    STARTING = "starting"  # Ray starts
    RUNNING = "running"
    FINISHING = "finishing"  # every trial has ended
    ENDED = "ended"


class Driver:
    """A running `pcdarts-tune`.

    Args:
        arguments: of the command line.
        trials: that the sweep shall have.
        environment: further variables.
    """

    def __init__(
        self,
        arguments: list[str],
        folder: SweepFolder,
        trials: int,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.said: list[str] = []
        self._folder, self._trials = folder, trials
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pcdarts_tune", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**fresh(), **(environment or {}), MARK: self.mark},
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    @property
    def phase(self) -> Phase:
        if self._process.poll() is not None:
            return Phase.ENDED
        if not self._folder.record_file.exists():
            return Phase.CREATING
        said = list(self.said)
        if any(line.endswith("]") and f"[{self._trials}/{self._trials}]" in line for line in said):
            return Phase.FINISHING
        return Phase.RUNNING if any(re.match(r"trial \d+: starts", line) for line in said) else Phase.STARTING

    def wait_for(self, phase: Phase, later: float = 0.0, timeout: float = 300.0) -> bool:
        """Wait until it is that far, and `later` seconds more; False when it ended before."""
        order = list(Phase)
        end = time.monotonic() + timeout
        while order.index(now := self.phase) < order.index(phase):
            if time.monotonic() > end:
                raise TimeoutError(f"{phase} was not reached in {timeout:g} s: {self.said[-5:]}")
            time.sleep(0.01)
        if now == Phase.ENDED:
            return False
        try:
            self._process.wait(later)
        except subprocess.TimeoutExpired:
            return True
        return False

    def wait_until_said(self, pattern: str, timeout: float = 300.0) -> str:
        """Wait for a line on stderr that begins so; the line."""
        end = time.monotonic() + timeout
        while True:
            for line in list(self.said):
                if re.match(pattern, line):
                    return line
            if time.monotonic() > end or (self._process.poll() is not None and not self._listener.is_alive()):
                raise TimeoutError(f"it never said {pattern!r}: {self.said[-5:]}")
            time.sleep(0.01)

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """A signal to the driver, or to all processes of its group, as a terminal sends Ctrl-C."""
        if group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill -9, the driver alone."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout: float = 300.0) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(timeout)
        # Ray's processes may hold the pipe for a moment longer
        self._listener.join(10)
        return code

    def survivors(self) -> list[int]:
        """The processes that it started and that still live."""
        return [pid for pid in marked(self.mark) if pid != self.pid]

    def seconds_until_alone(self, timeout: float = 30.0) -> float:
        """Wait until no process that it started lives, `timeout` seconds at most; how long that took."""
        begun = time.monotonic()
        while self.survivors() and time.monotonic() - begun < timeout:
            time.sleep(0.05)
        return time.monotonic() - begun


def marked(mark: str) -> list[int]:
    """The processes with a mark in their environment, zombies left out."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
    return found


def title(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
