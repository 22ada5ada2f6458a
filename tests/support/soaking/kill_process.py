"""Kill -9 of processes that train, at random moments of real sweeps; compared with the same sweeps undisturbed.

result = soak_processes(Path("/tmp/soak"), kills=10, sweeps=2)
given_up = soak_given_up(Path("/tmp/soak"))     # one trial's process killed until the sweep gives it up
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcdarts_tune.home import SweepFolder, Where
from pcdarts_tune.sweeps.sweep import open_sweep
from support.soaking.audit import audit
from support.soaking.driver import Driver, Phase, marked, title
from support.soaking.sweeps import NAME, finish, run_undisturbed, say, sweep_command
from support.soaking.tally import Tally


def soak_processes(
    folder: Path, *, kills: int, sweeps: int, trials: int = 4, seed: int = 0, pause: float = 8.0
) -> dict[str, Any]:
    """Kill processes of trials of `sweeps` sweeps until there were `kills` kills.

    Args:
        folder: for the homes; a fresh one.
        pause: seconds between two kills, at most.
    """
    draw = random.Random(seed)
    tally = Tally(kills, sweeps, trials)
    again = 0
    while most := tally.wanted():
        number = tally.number
        undisturbed, _ = run_undisturbed(folder / f"undisturbed-{number}", trials, number)
        home = folder / f"home-{number}"
        command = sweep_command(home, trials, number, ["--max-failures", str(kills)])
        with Driver(command, SweepFolder.of(home, NAME), trials) as driver:
            killed = kill_workers(driver, most, pause, draw)
            finish(driver)
        again += sum("starts again" in line for line in driver.said)
        tally.add(home, undisturbed, killed)
    return {
        "what": "kill -9 of a process that runs a trial",
        "trials_started_again": again,
        **tally.result(),
    }


def kill_workers(
    driver: Driver, most: int, pause: float, draw: random.Random, marks: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Kill a process of a trial after random pauses, `most` times at most, until every trial has ended.

    Args:
        marks: of the nodes that the trials run on; none for the driver's own Ray.
    """
    killed: list[dict[str, Any]] = []
    driver.wait_for(Phase.RUNNING)
    while len(killed) < most and driver.wait_for(Phase.RUNNING, draw.uniform(0.2, pause)):
        if driver.phase != Phase.RUNNING:
            break
        found = workers(*marks or [driver.mark])
        if not found:
            continue
        pid = draw.choice(found)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed.append({"seconds": round(driver.seconds, 2), "of": len(found), "said": driver.said[-1:]})
        say(f"killed process {pid} after {driver.seconds:.1f} s")
    return killed


def workers(*marks: str) -> list[int]:
    """The processes that run trials, of those with the marks."""
    return [pid for mark in marks for pid in marked(mark) if title(pid).startswith("ray::ImplicitFunc")]


def soak_given_up(folder: Path, trials: int = 2, max_failures: int = 1) -> dict[str, Any]:
    """Kill the process of the first trial until the sweep gives the trial up; the others must go on."""
    home = folder / "home-given-up"
    extra = ["--max-failures", str(max_failures), "--max-concurrent", "1"]
    with Driver(sweep_command(home, trials, 1, extra), SweepFolder.of(home, NAME), trials) as driver:
        for _ in range(max_failures + 1):
            # each start of the trial is let come as far as its first record
            before = len(driver.said)
            while not any(re.match(r"trial 0: (search|goes on)", line) for line in driver.said[before:]):
                if driver.phase == Phase.ENDED:
                    raise RuntimeError("it ended:\n" + "\n".join(driver.said))
                time.sleep(0.02)
            for pid in workers(driver.mark):
                os.kill(pid, signal.SIGKILL)
        finish(driver)
    failed = open_sweep(Where(home), NAME).record(0)
    return {"reason": failed.reason, "counts": audit(home, NAME, trials, failed=1)}
