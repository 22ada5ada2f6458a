"""The sweeps that soaks run: quickstart with fewer epochs, real searches and real trainings of seconds each.

home, lengths = run_undisturbed(folder / "undisturbed", trials=4, seed=1)
Driver(sweep_command(home, trials=4, seed=1), SweepFolder.of(home, NAME), trials=4)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from pcdarts_tune.home import SweepFolder
from support.soaking.driver import Driver, Phase

SMALL = (
    *("--set", "search.epochs=3", "--set", "search.arch_warmup_epochs=1"),
    *("--set", "evaluation.epochs=4", "--sampler", "random", "--cpus-per-trial", "1"),
)
"""One core for each trial: on CPUs the number of threads changes how sums are rounded."""
NAME = "s"


def sweep_command(home: Path, trials: int, seed: int, extra: Sequence[str] = ()) -> list[str]:
    """Arguments that make the sweep and run it."""
    start = ["sweep", "--space", "quickstart", "--name", NAME, "--trials", str(trials), "--seed", str(seed)]
    return [*start, *SMALL, *extra, "--home", str(home)]


def resume_command(home: Path, extra: Sequence[str] = ()) -> list[str]:
    """Arguments that go on with it."""
    return ["resume", NAME, *extra, "--home", str(home)]


def run_undisturbed(
    home: Path, trials: int, seed: int, extra: Sequence[str] = ()
) -> tuple[Path, dict[Phase, float]]:
    """A sweep from start to end; its home, and how long its phases took."""
    began: dict[Phase, float] = {Phase.CREATING: 0.0}
    with Driver(sweep_command(home, trials, seed, extra), SweepFolder.of(home, NAME), trials) as driver:
        for phase in list(Phase)[1:]:
            driver.wait_for(phase)
            began[phase] = driver.seconds
        finish(driver)
    order = list(Phase)
    lengths = {phase: began[after] - began[phase] for phase, after in itertools.pairwise(order)}
    say("undisturbed: " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in lengths.items()))
    return home, lengths


def finish(driver: Driver) -> None:
    """Wait for its end, which must be a good one."""
    code = driver.wait(600)
    if code != 0:
        raise RuntimeError(f"exit code {code}:\n" + "\n".join(driver.said))


def say(text: str) -> None:
    """How far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)
