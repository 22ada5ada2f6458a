"""What waiting threads cost on a busy machine: search steps beside a load of its own, with OpenMP's default and with threads that
sleep (`machine.let_threads_sleep`), in pairs.

    PYTHONPATH=. python benchmarks/core/busy.py --threads 2 --load 4 --json benchmarks/results/cpu-busy.json

Each side is a process of its own, since OpenMP reads its settings when torch is loaded. A ratio is default over sleeping, so
above 1 sleeping is faster.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pcdarts_tune.machine import SLEEPING, WAITING

SIZES = {"k": 4, "channels": 8, "layers": 3, "batch": 8}


def train(threads: int, seconds: float) -> None:
    """Print how many seconds, and seconds of processor time, a search step takes, after one that warms up."""
    import torch

    from pcdarts_tune.core.benchmark import build_form

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    side = build_form("fast", "search", torch.device("cpu"), **SIZES)
    side.step()
    begun, used, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        side.step()
        steps += 1
    print(json.dumps([(time.perf_counter() - begun) / steps, (time.process_time() - used) / steps]))


def measure(arguments: argparse.Namespace, sleeping: bool) -> list[float]:
    """`train` in a process of its own."""
    settings = {name: value for name, value in os.environ.items() if name not in WAITING}
    if sleeping:
        settings |= SLEEPING
    command = [sys.executable, __file__, "--threads", str(arguments.threads)]
    command += ["--seconds", str(arguments.seconds), "--child"]
    done = subprocess.run(command, env=settings, check=True, capture_output=True, text=True)
    times: list[float] = json.loads(done.stdout)
    return times


def burn() -> None:
    """Keep one core busy."""
    while True:
        sum(range(100_000))


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def write(file: Path, arguments: argparse.Namespace, rows: list[dict[str, object]]) -> None:
    """What was measured so far."""
    import torch

    result = {
        "threads": arguments.threads,
        "sizes": SIZES,
        "rows": rows,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"},
    }
    file.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--load", type=int, nargs="+", default=[0, 4], help="busy processes beside it")
    parser.add_argument("--seconds", type=float, default=8.0, help="of steps, at least, a measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments.threads, arguments.seconds)
        return
    rows: list[dict[str, object]] = []
    for load in arguments.load:
        others = [multiprocessing.Process(target=burn, daemon=True) for _ in range(load)]
        for other in others:
            other.start()
        try:
            pairs = [(measure(arguments, False), measure(arguments, True)) for _ in range(arguments.repeats)]
        finally:
            for other in others:
                other.kill()
        wall, used = (spread([one[at] / other[at] for one, other in pairs]) for at in (0, 1))
        row = {
            "load": load,
            "load_average": os.getloadavg()[0],
            "seconds_per_step": [[one[0], other[0]] for one, other in pairs],
            "processor_seconds_per_step": [[one[1], other[1]] for one, other in pairs],
            "ratio": wall,
            "processor_ratio": used,
        }
        rows.append(row)
        if arguments.json:
            write(arguments.json, arguments, rows)
        for name, found in (("time", wall), ("processor time", used)):
            print(
                f"load {load}: {name} {found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f}, n={found['n']})",
                flush=True,
            )


if __name__ == "__main__":
    main()
