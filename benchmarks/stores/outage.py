"""Outages: a real sweep whose MLflow server goes away, or whose disk fills up; then what is missing, record by record.

    PYTHONPATH=tests python benchmarks/stores/outage.py mlflow --seconds 60   # stopped, frozen, gone at the end, driver killed
    PYTHONPATH=tests python benchmarks/stores/outage.py disk --times 5   # a tmpfs as home, filled at random moments (root)

Each writes benchmarks/results/outage-….json and exits 1 where anything is missing, doubled or half-written. The test suite
runs short ones (tests/whole/test_stores_….py).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.compare import differences
from support.disks import fill, half_written, small_disk
from support.servers import MlflowServer, mlflow_server, postgresql
from support.soaking.environment import fresh
from support.soaking.record import write

from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.sweep import open_sweep

RESULTS = Path(__file__).resolve().parents[1] / "results"
SWEEP = ("--space", "quickstart", "--name", "s", "--sampler", "random", "--max-concurrent", "2")


class Driver:
    """A driver in a process of its own, and what it says on stderr, with the time."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "-m", "pcdarts_tune", *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**fresh(), **environment},
            start_new_session=True,
        )
        self.said: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.said.append((time.monotonic(), line.rstrip()))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """All that it said."""
        return "\n".join(line for _, line in self.said)

    def until(self, sign: Callable[[str], bool], within: float = 600.0) -> bool:
        """Wait until it says so; False when it ended without."""
        end = time.monotonic() + within
        with self._changed:
            while not any(sign(line) for _, line in self.said):
                if not self._reader.is_alive() or time.monotonic() > end:
                    return False
                self._changed.wait(1.0)
        return True

    def end(self, within: float = 1800.0) -> int:
        """Its exit code."""
        code = self.process.wait(within)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        """Like a lost machine: the driver and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        self._reader.join(10)


def outages(folder: Path, seconds: float, trials: int, small: list[str]) -> dict[str, Any]:
    """Four sweeps on one MLflow server in front of PostgreSQL, an outage in each."""
    results: dict[str, Any] = {}
    with postgresql() as database:
        database.create("mlflow")
        with mlflow_server(database.url("mlflow"), folder / "server") as server:
            for name, outage in _OUTAGES.items():
                home = folder / name
                begun = time.monotonic()
                results[name] = outage(server, home, seconds, trials, small)
                sweep = open_sweep(Where(home, server.url), "s")
                found = differences(sweep)
                records = sweep.records()
                results[name] |= {
                    "trials": len(records),
                    "complete": sum(record.state == "complete" for record in records),
                    "metrics_compared": _metrics(sweep),
                    "differences": found,
                    "minutes": round((time.monotonic() - begun) / 60, 1),
                }
                print(f"{name}: {json.dumps(results[name])}", flush=True)
    return results


def _begin(server: MlflowServer, home: Path, trials: int, small: list[str]) -> Driver:
    arguments = ["sweep", *SWEEP, *small, "--trials", str(trials), "--home", str(home)]
    driver = Driver(*arguments, "--tracking-uri", server.url)
    assert driver.until(lambda line: "trial 1: search" in line), driver.text
    return driver


def _stopped(
    server: MlflowServer, home: Path, seconds: float, trials: int, small: list[str]
) -> dict[str, Any]:
    driver = _begin(server, home, trials, small)
    away = time.monotonic()
    server.stop()
    time.sleep(seconds)
    server.start()
    back = time.monotonic()
    return {"exit": driver.end(), "away_s": round(back - away, 1), **_pace(driver, away, back)}


def _frozen(
    server: MlflowServer, home: Path, seconds: float, trials: int, small: list[str]
) -> dict[str, Any]:
    """It takes connections and never answers."""
    driver = _begin(server, home, trials, small)
    away = time.monotonic()
    server.signal(signal.SIGSTOP)
    time.sleep(seconds)
    server.signal(signal.SIGCONT)
    back = time.monotonic()
    return {"exit": driver.end(), "away_s": round(back - away, 1), **_pace(driver, away, back)}


def _at_the_end(
    server: MlflowServer, home: Path, seconds: float, trials: int, small: list[str]
) -> dict[str, Any]:
    """It stays away until the sweep has ended; `resume` delivers what waited on the disk."""
    driver = _begin(server, home, trials, small)
    server.stop()
    code = driver.end()
    told = [line for _, line in driver.said if "MLflow did not take" in line]
    server.start()
    late = Driver("resume", "s", "--home", str(home))
    return {"exit": code, "told": told, "exit_of_resume": late.end()}


def _driver_killed(
    server: MlflowServer, home: Path, seconds: float, trials: int, small: list[str]
) -> dict[str, Any]:
    """The driver is killed while the server is away, and resumed while it still is."""
    driver = _begin(server, home, trials, small)
    server.stop()
    driver.until(lambda line: "trial 2: starts" in line)
    driver.kill()
    again = Driver("resume", "s", "--home", str(home))
    again.until(lambda line: "trial 2: search" in line)
    server.start()
    return {"killed_with": f"kill -9, {len(driver.said)} lines said", "exit_of_resume": again.end()}


_OUTAGES = {
    "stopped": _stopped,
    "frozen": _frozen,
    "at_the_end": _at_the_end,
    "driver_killed": _driver_killed,
}


def _pace(driver: Driver, away: float, back: float) -> dict[str, Any]:
    """Whether the sweep went on meanwhile: what it said before, during and after, and its longest silence."""
    times = [moment for moment, line in driver.said if line.startswith("trial ")]
    between = [later - earlier for earlier, later in pairwise(times)]
    return {
        "lines_meanwhile": sum(away < moment < back for moment in times),
        "longest_silence_s": round(max(between, default=0.0), 1),
    }


def _metrics(sweep: Any) -> int:
    client = sweep.store().client
    total = 0
    for record in sweep.records():
        run = client.get_run(record.run_id)
        total += sum(len(client.get_metric_history(record.run_id, key)) for key in run.data.metrics)
    return total


def full_disks(
    folder: Path, times: int, seed: int, trials: int, megabytes: int, small: list[str]
) -> dict[str, Any]:
    """Sweeps on a small disk that is filled at a random moment, emptied when they have ended, and resumed."""
    draw = random.Random(seed)
    undisturbed = folder / "undisturbed"
    driver = Driver("sweep", *SWEEP, *small, "--trials", str(trials), "--home", str(undisturbed))
    assert driver.end() == 0, driver.text
    times_said = [moment for moment, line in driver.said if line.startswith("trial ")]
    length = times_said[-1] - times_said[0]
    reference = {record.trial: record for record in open_sweep(Where(undisturbed), "s").records()}
    results = []
    for number in range(times):
        with small_disk(folder / f"disk{number}", megabytes) as disk:
            home = disk / "home"
            driver = Driver("sweep", *SWEEP, *small, "--trials", str(trials), "--home", str(home))
            driver.until(lambda line: line.startswith("trial "))
            moment = draw.uniform(0.0, 0.7) * length
            time.sleep(moment)
            ballast = fill(disk)
            code = driver.end()
            result = {
                "filled_after_s": round(moment, 1),
                "ballast_bytes": ballast,
                "exit": code,
                "said": [line for _, line in driver.said[-3:]],
                "all": [] if "Traceback" not in driver.text else driver.text.splitlines()[-60:],
                "traceback": "Traceback" in driver.text,
            }
            (disk / "ballast").unlink()
            result["half_written"] = half_written(home)
            again = "resume" if (home / "sweeps" / "s" / "sweep.json").exists() else "sweep"
            options = ("s",) if again == "resume" else (*SWEEP, *small, "--trials", str(trials))
            resumed = Driver(again, *options, "--home", str(home))
            result["exit_of_resume"] = resumed.end()
            if result["exit_of_resume"]:
                result["resume_said"] = [line for _, line in resumed.said[-3:]]
            else:
                sweep = open_sweep(Where(home), "s")
                result["differences"] = differences(sweep)
                for record in sweep.records():
                    other = reference.get(record.trial)
                    if other is None or (record.genotype, record.objective, record.state) != (
                        other.genotype,
                        other.objective,
                        other.state,
                    ):
                        result["differences"].append(f"trial {record.trial} ended otherwise than undisturbed")
                if len(sweep.records()) != trials:
                    result["differences"].append(f"{len(sweep.records())} trials, not {trials}")
            result["right"] = (
                code == 1
                and result["exit_of_resume"] == 0
                and not (result["traceback"] or result["half_written"] or result["differences"])
            )
            results.append(result)
            print(json.dumps(result), flush=True)
    return {"times": times, "right": sum(result["right"] for result in results), "runs": results}


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    mlflow = kinds.add_parser("mlflow")
    mlflow.add_argument("--seconds", type=float, default=60.0)
    disk = kinds.add_parser("disk")
    disk.add_argument("--times", type=int, default=5)
    disk.add_argument("--seed", type=int, default=0)
    disk.add_argument("--megabytes", type=int, default=64)
    for kind in (mlflow, disk):
        kind.add_argument("--trials", type=int, default=4)
        kind.add_argument("--set", action="append", default=[], help="of the space, as for `sweep`")
        kind.add_argument("--folder", type=Path, help="for the homes; kept.  [default: temporary]")
        kind.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    small = [part for setting in given.set for part in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="outage-") as made:
        folder = (given.folder or Path(made)).absolute()
        if given.kind == "mlflow":
            runs = outages(folder, given.seconds, given.trials, small)
            wrong = [
                name for name, run in runs.items() if run["differences"] or run["complete"] != given.trials
            ]
            result: dict[str, Any] = {"seconds": given.seconds, "runs": runs}
        else:
            result = full_disks(folder, given.times, given.seed, given.trials, given.megabytes, small)
            wrong = [f"run {number}" for number, run in enumerate(result["runs"]) if not run["right"]]
    path = given.output or RESULTS / f"outage-{given.kind}.json"
    write(
        path,
        {
            "command": "PYTHONPATH=tests python benchmarks/stores/outage.py "
            + " ".join(Path(part).name if part.startswith("/") else part for part in sys.argv[1:]),
            **result,
        },
    )
    print(f"{path}: {', '.join(wrong) or 'nothing missing, doubled or half-written'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    _main()
