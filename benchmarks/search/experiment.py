"""What a sweep is worth, where every answer is known: NAS-Bench-201's cells, searched for on real CIFAR-10 at 16x16 on a CPU.

    python benchmarks/search/experiment.py --data CIFAR --benchmark nasbench201.csv.gz --home experiment

runs sweeps of `nasbench201_cpu` through the command line, one after the other, and goes on where it was stopped:

- `PC-DARTS` and `DARTS` (K=1, no edge normalisation): searches with the space's own settings, one seed each, not tuned
- `sweep`: the best trial, by its score, of 16 whose settings Optuna proposed; three sweeps
- `random search`: the best, by its score, of 16 random cells. The cells of results/calibration-nasbench201_cpu.json are scored by
  the sweep's own recipe, so that none is trained again: mean and deviation over all choices of 16 of these 48
- `K=k, edges` (with --ablation): K in 1, 2, 4, 8 with and without edge normalisation, three searches each

It prints, and writes to --out, the known accuracy of what each found (CIFAR-10, validation, 200 epochs, mean over seeds, in
percent): mean, standard deviation, n, and the cost. No sampler sees it. `random cell` is the whole table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcdarts_tune.calibration.agreement import best_weights
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.benchmark import Benchmark

RECIPE = "passes4"
"""The recipe, of search/recipes.yaml, by which the space scores its trials."""
TRUTH = "cifar10_val200"  # the mean of the columns _s0, _s1, _s2
RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Arm:
    """One sweep, and the row of the table to which it belongs.

    Attributes:
        chooses: whether it gives the row its best trial by score, or all of its trials.
    """

    row: str
    name: str
    trials: int
    options: tuple[str, ...]
    chooses: bool = False


def arms(args: argparse.Namespace) -> Iterator[Arm]:
    # the searches alone: their cells are looked up, and no network is trained
    fixed = (
        "--set",
        "tune={}",
        "--objective",
        "benchmark",
        "--benchmark",
        str(args.benchmark),
        "--truth",
        TRUTH,
    )
    darts = ("--set", "supernet.k=1", "--set", "supernet.edge_normalization=false")
    yield Arm("PC-DARTS", "pc-darts", args.searches, fixed)
    yield Arm("DARTS", "darts", args.searches, (*fixed, *darts))
    for seed in range(args.sweeps):
        yield Arm("sweep", f"sweep-{seed}", args.trials, ("--seed", str(seed)), chooses=True)
    if args.ablation:
        for k in (1, 2, 4, 8):
            for edges in (True, False):
                row = f"K={k}, {'edge normalisation' if edges else 'none'}"
                settings = (
                    "--set",
                    f"supernet.k={k}",
                    "--set",
                    f"supernet.edge_normalization={str(edges).lower()}",
                )
                yield Arm(row, f"k{k}-{'edges' if edges else 'plain'}", 3, (*fixed, *settings))


def search_at_random(trials: int) -> dict[str, Any]:
    """The row of random search."""
    measured = json.loads((RESULTS / "calibration-nasbench201_cpu.json").read_text(encoding="utf-8"))[
        "trainings"
    ]
    mine = [each for each in measured if each["recipe"] == RECIPE]
    mine.sort(key=lambda each: -each["curve"][-1][2])  # the worst held-out loss first
    truth, weights = np.array([each["truth"] for each in mine]), best_weights(len(mine), trials)
    mean = float(weights @ truth)
    hours = trials * sum(each["core_seconds"] for each in mine) / len(mine) / 3600
    return {
        "mean": mean,
        "std": float(weights @ (truth - mean) ** 2) ** 0.5,
        "n": len(mine),
        "core_hours": hours,
    }


def command(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pcdarts_tune", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"pcdarts-tune {' '.join(words)} ended with exit code {done.returncode}")
    return done.stdout


def trials_of(arm: Arm, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The complete trials of an arm, best first, run as far as they are missing."""
    home = ("--home", str(args.home))
    share = ("--cpus-per-trial", "1", "--max-concurrent", str(args.concurrent))
    if (args.home / "sweeps" / arm.name).exists():
        command("resume", arm.name, *share, *home, "-q")
    else:
        begin = ("sweep", "--space", "nasbench201_cpu", "--data", str(args.data), "--name", arm.name)
        command(*begin, "--trials", str(arm.trials), *arm.options, *share, *home, "-q")
    benchmark = ("--benchmark", str(args.benchmark), "--truth", TRUTH)
    rows = json.loads(command("leaderboard", arm.name, *home, *benchmark, "--json"))
    return [row for row in rows if row["state"] == "complete"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with CIFAR-10's train.parquet and test.parquet"
    )
    parser.add_argument("--benchmark", type=Path, required=True, help="the table of NAS-Bench-201")
    parser.add_argument("--home", type=Path, required=True, help="where the sweeps are kept")
    parser.add_argument("--searches", type=int, default=5, help="searches of PC-DARTS and of DARTS")
    parser.add_argument("--sweeps", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16, help="of each sweep")
    parser.add_argument("--concurrent", type=int, default=1, help="trials at a time, a core each")
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "experiment-nasbench201.json")
    args = parser.parse_args()
    every = Spread(tuple(numbers[TRUTH] for numbers in Benchmark.read(args.benchmark).cells.values()))
    table = {
        "random cell": summarize(every, 0.0),
        f"random search, best of {args.trials}": search_at_random(args.trials),
    }
    found: dict[str, list[float]] = {}
    hours: dict[str, list[float]] = {}
    sweeps = {}
    for arm in arms(args):
        trials = trials_of(arm, args)
        chosen = trials[:1] if arm.chooses else trials
        found.setdefault(arm.row, []).extend(row["known"][TRUTH] for row in chosen)
        spent = [row["cpu_hours"] for row in trials]
        hours.setdefault(arm.row, []).extend([sum(spent)] if arm.chooses else spent)
        table[arm.row] = summarize(Spread(tuple(found[arm.row])), Spread(tuple(hours[arm.row])).mean)
        sweeps[arm.name] = [
            {key: row[key] for key in ("trial", "objective", "hyperparameters", "genotype")}
            | {"known": row["known"][TRUTH]}
            for row in trials
        ]
        print_table(table)
        written = {"truth": TRUTH, "rows": table, "sweeps": sweeps}
        args.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def summarize(known: Spread, hours: float) -> dict[str, Any]:
    return {"mean": known.mean, "std": known.std, "n": known.n, "core_hours": hours}


def print_table(table: dict[str, dict[str, Any]]) -> None:
    print(f"\n{'':28}  known accuracy, %    std      n  core-hours each")
    for row, of in table.items():
        print(
            f"{row:28}  {of['mean']:17.2f}  {of['std'] or 0:5.2f}  {of['n']:5}  {of['core_hours']:15.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
