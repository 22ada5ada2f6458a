"""A thousand trials through the whole machinery, looked up instead of trained: does a trial cost more the more there are?

    PYTHONPATH=tests python benchmarks/search/scale.py --trials 1000 --table darts_surrogate_1218.csv.gz

For every hundred trials, and per trial: wall time, and processor time of the driver's main thread, both without what the
sampler takes (its own column); processor time of the thread that writes to MLflow; memory of the driver; how many trials
MLflow is behind. Writes benchmarks/results/scale.json and exits 1 where the last hundred cost more than 1.5 times the first.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.lookup import Table, drawn_rows, lookup_made, lookup_trial, surrogate_rows, travels_by_value
from support.soaking.record import write

from pcdarts_tune.sweeps import runner
from pcdarts_tune.tracking.outbox import Outbox

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass
class Mark:
    """What had been spent when so many trials had ended: seconds, megabytes, and trials that MLflow has wholly."""

    trials: int
    wall: float
    driver: float
    everything: float
    sampler: float
    sampler_cpu: float
    memory: float
    delivered: int


class Meter:
    """Listens to a study: when trials end, how long a proposal takes; and to the outbox."""

    def __init__(self, study: Any, every: int) -> None:
        self._every, self._ended, self._delivered = every, 0, 0
        self._sampler = self._sampler_cpu = 0.0
        self.marks: list[Mark] = []
        self.deliveries: dict[int, float] = {}
        """Trial -> processor seconds of writing it to MLflow."""
        self._ask, self._tell, self._note = study.ask, study.tell, study.note
        study.ask, study.tell, study.note = self.ask, self.tell, self.note
        deliver = Outbox._deliver

        def delivered(outbox: Outbox, delivery: Any, about: int | None) -> bool:
            begun = time.thread_time()
            try:
                return deliver(outbox, delivery, about)
            finally:
                if about is not None:
                    spent = time.thread_time() - begun
                    self.deliveries[about] = self.deliveries.get(about, 0.0) + spent

        Outbox._deliver = delivered  # type: ignore[method-assign]

    def ask(self, *args: Any) -> Any:
        begun, cpu = time.perf_counter(), time.thread_time()
        try:
            return self._ask(*args)
        finally:
            self._sampler += time.perf_counter() - begun
            self._sampler_cpu += time.thread_time() - cpu

    def tell(self, *args: Any) -> Any:
        told = self._tell(*args)
        self._ended += bool(told)
        if told and (self._ended % self._every == 0 or self._ended == 1):
            self.mark()
        return told

    def note(self, key: str, value: Any) -> None:
        self._note(key, value)
        self._delivered += key.startswith("delivered/")

    def mark(self) -> None:
        self.marks.append(
            Mark(
                self._ended,
                time.perf_counter(),
                time.thread_time(),
                _everything(),
                self._sampler,
                self._sampler_cpu,
                _pages("/proc/self/statm") / 2**20,
                self._delivered,
            )
        )

    def hundreds(self) -> list[dict[str, Any]]:
        """What each trial took, from mark to mark."""
        return [self._between(*pair) for pair in pairwise(self.marks)]

    def _between(self, one: Mark, other: Mark) -> dict[str, Any]:
        trials = other.trials - one.trials
        sampler, sampler_cpu = other.sampler - one.sampler, other.sampler_cpu - one.sampler_cpu
        first = one.trials if one.trials > 1 else 0
        main = (other.driver - one.driver - sampler_cpu) / trials
        mlflow = sum(self.deliveries.get(number, 0.0) for number in range(first, other.trials))
        mlflow /= other.trials - first
        return {
            "trials": f"{first} to {other.trials}",
            "wall_s": round((other.wall - one.wall - sampler) / trials, 4),
            "driver_cpu_s": round(main + mlflow, 4),
            "main_cpu_s": round(main, 4),
            "mlflow_cpu_s": round(mlflow, 4),
            "all_cpu_s": round((other.everything - one.everything - sampler_cpu) / trials, 4),
            "sampler_s": round(sampler / trials, 4),
            "memory_mb": round(other.memory, 1),
            "behind": other.trials - other.delivered,
        }


def measure(
    home: Path,
    trials: int,
    *,
    every: int = 100,
    table: Path | None = None,
    sampler: str = "tpe",
    listen: Callable[[Any], None] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Run `trials` lookups in `home`, metered: `hundreds`, what each took, and `ratio`s of the last to the first."""
    sweep = lookup_made(home, trials, sampler=sampler, **settings)
    meter = Meter(sweep.study, every)
    if listen is not None:
        listen(sweep)
    travels_by_value()
    rows = drawn_rows() if table is None else surrogate_rows(table)
    # as few pictures as there may be: one takes as long to draw as all the rest of a trial
    data = Table(rows, (1, 1), alphas=False)
    # lookups are faster than MLflow's writing: what is behind at the end belongs to the measurement
    runner.DELIVERED_WITHIN = 3600.0
    begun = time.perf_counter()
    ended = runner.run_sweep(sweep, runner.RunSettings(quiet=True), data=data, function=lookup_trial)
    assert (ended.reason, ended.undelivered) == ("done", 0), ended
    whole = time.perf_counter() - begun
    hundreds = meter.hundreds()
    first, last = hundreds[0], hundreds[-1]
    return {
        "trials": trials,
        "sampler": sampler,
        "seconds": round(whole, 1),
        "delivered_after_s": round(begun + whole - meter.marks[-1].wall, 1),
        "ratio": {
            key: round(last[key] / first[key], 2)
            for key in ("wall_s", "driver_cpu_s", "main_cpu_s", "mlflow_cpu_s", "all_cpu_s")
            if first[key]
        },
        "memory_mb": {"first": first["memory_mb"], "last": last["memory_mb"]},
        "hundreds": hundreds,
    }


def _pages(file: str) -> int:
    """Resident memory in bytes."""
    return int(Path(file).read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _everything() -> float:
    """Processor seconds of this process and all that it started and that still run."""
    spent: dict[int, tuple[int, int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = file.read_text().rpartition(")")[2].split()
            spent[int(file.parent.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    ours = {os.getpid()}
    while more := {pid for pid, (parent, _) in spent.items() if parent in ours} - ours:
        ours |= more
    return sum(spent[pid][1] for pid in ours if pid in spent) / os.sysconf("SC_CLK_TCK")


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--profile", type=Path, help="of the driver's main thread, for pstats")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "scale.json")
    given = parser.parse_args()
    import cProfile

    profile = cProfile.Profile() if given.profile else None
    with tempfile.TemporaryDirectory(prefix="scale-") as made:
        if profile is not None:
            profile.enable()
        result = measure(
            (given.folder or Path(made)).absolute(),
            given.trials,
            every=given.every,
            table=given.table,
            sampler=given.sampler,
        )
        if profile is not None:
            profile.disable()
            profile.dump_stats(given.profile)
    command = "PYTHONPATH=tests python benchmarks/search/scale.py " + " ".join(
        Path(part).name if part.startswith("/") else part for part in sys.argv[1:]
    )
    write(given.output, {"command": command, **result})
    for row in result["hundreds"]:
        print(row)
    print(result["ratio"], result["memory_mb"], f"{result['seconds']} s", given.output)
    sys.exit(result["ratio"]["driver_cpu_s"] > 1.5 or result["ratio"]["wall_s"] > 1.5)


if __name__ == "__main__":
    _main()
