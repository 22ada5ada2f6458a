"""Kill -9 of the driver at random moments of real sweeps, resumed each time; compared with the same sweeps undisturbed.

    result = soak_drivers(Path("/tmp/soak"), kills=20, sweeps=4, seed=0)
    result["counts"]        # all 0
    result["differences"]   # none

The moments are drawn within phases, so that the short ones (the sweep being made, its end) are met too.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pcdarts_tune.home import SweepFolder
from support.soaking.audit import summed
from support.soaking.driver import Driver, Phase, title
from support.soaking.sweeps import NAME, finish, resume_command, run_undisturbed, say, sweep_command
from support.soaking.tally import Tally

SHARES = {Phase.CREATING: 0.15, Phase.STARTING: 0.25, Phase.RUNNING: 0.4, Phase.FINISHING: 0.2}
"""How many of the kills fall in each phase."""


@dataclass(frozen=True)
class Moment:
    """When to end a driver, seconds after a phase has begun, and how: kill -9, SIGTERM, or Ctrl-C twice."""

    phase: Phase
    later: float
    how: Literal["kill", "term", "ctrl-c twice"] = "kill"


def moments(kills: int, draw: random.Random, lengths: dict[Phase, float]) -> list[Moment]:
    """`kills` moments of one sweep, shared out among the phases; there is one beginning and one end, the others come in a
    random order."""
    phases = [phase for phase, share in SHARES.items() for _ in range(round(share * kills))]
    phases += [Phase.RUNNING] * (kills - len(phases))
    draw.shuffle(phases)
    phases.sort(key=lambda phase: {Phase.CREATING: 0, Phase.FINISHING: 2}.get(phase, 1))
    return [Moment(phase, draw.uniform(0, lengths[phase])) for phase in phases[:kills]]


def soak_drivers(folder: Path, *, kills: int, sweeps: int, trials: int = 4, seed: int = 0) -> dict[str, Any]:
    """Kill drivers of `sweeps` sweeps, and of more where a sweep ended too soon, until there were `kills` kills.

    Args:
        folder: for the homes; a fresh one.
    """
    draw = random.Random(seed)
    tally = Tally(kills, sweeps, trials)
    while most := tally.wanted():
        number = tally.number
        undisturbed, lengths = run_undisturbed(folder / f"undisturbed-{number}", trials, number)
        home = folder / f"home-{number}"
        tally.add(home, undisturbed, end_and_resume(home, trials, number, moments(most, draw, lengths)))
    result = tally.result()
    left = {"processes_left": sum(kill["processes_left"] for kill in tally.each)}
    return {
        "what": "kill -9 of the driver",
        **result,
        "counts": summed([result["counts"], left]),
        "processes_gone_after_seconds": max(kill["processes_gone_after"] for kill in tally.each),
    }


def end_and_resume(
    home: Path, trials: int, seed: int, when: Sequence[Moment], extra: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One sweep, its driver ended at each of the moments that it lives to see and resumed at once, to the end; what was
    ended when, and how long what the driver had started lived on."""
    sweep = SweepFolder.of(home, NAME)
    done: list[dict[str, Any]] = []
    watchers: list[threading.Thread] = []
    for moment in when:
        made = sweep.record_file.exists()
        if moment.phase == Phase.CREATING and made:
            continue
        command = resume_command(home) if made else sweep_command(home, trials, seed, extra)
        with Driver(command, sweep, trials) as driver:
            if not driver.wait_for(moment.phase, moment.later):
                finish(driver)
                continue
            phase, seconds = driver.phase, driver.seconds
            _end(driver, moment)
            about = {"how": moment.how, "phase": phase.value, "seconds": round(seconds, 2)}
            done.append({**about, "said": driver.said[-1:]})
            watchers.append(_watch(driver, done[-1]))
            say(f"{moment.how}: {phase} after {seconds:.1f} s")
    command = resume_command(home) if sweep.record_file.exists() else sweep_command(home, trials, seed, extra)
    with Driver(command, sweep, trials) as driver:
        finish(driver)
    for watcher in watchers:
        watcher.join()
    return done


def _end(driver: Driver, moment: Moment) -> None:
    """Ends it; asked politely, it exits with 130 and says how to go on."""
    if moment.how == "kill":
        driver.kill()
        return
    driver.send(signal.SIGTERM if moment.how == "term" else signal.SIGINT)
    if moment.how == "ctrl-c twice":
        driver.wait_until_said("stopping")
        driver.send(signal.SIGINT)
    code = driver.wait()
    if code != 130 or not any(f"pcdarts-tune resume {NAME}" in line for line in driver.said):
        raise RuntimeError(f"{moment.how}: exit code {code}:\n" + "\n".join(driver.said))


def _watch(driver: Driver, about: dict[str, Any]) -> threading.Thread:
    """See how long what an ended driver had started lives on, while the sweep is resumed."""

    def watch() -> None:
        after = driver.seconds_until_alone()
        about["processes_gone_after"] = round(after, 2)
        left = driver.survivors()
        about["processes_left"] = len(left)
        if left:
            about["left"] = [title(pid) for pid in left]

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
