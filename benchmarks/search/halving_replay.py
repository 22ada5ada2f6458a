"""What successive halving loses, replayed on the 15,625 cells of NAS-Bench-201 with the product's own rule.

    python benchmarks/search/halving_replay.py nasbench201.csv.gz -o benchmarks/results/halving-replay.json

Each replay draws cells at random and lets them come to one rung in a random order (sweeping/halving.py decides, as a sweep
does, knowing only those before). At the rung stands the 12-epoch accuracy; a cell that goes on has its 200-epoch accuracy, a
mean over seeds. The 12-epoch figure has a schedule of its own, annealed to its end: a rung in a sweep is met in the middle of
the schedule, which ranks worse. Nothing here says how well the 8-cell evaluations of a sweep rank at a sixth of their epochs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

from samplers import read

from pcdarts_tune.sweeps.study.objectives import Rung, reason_to_stop

SHORT, WHOLE = 12, 200
REPEATS = 2000


def replay(
    cells: list[tuple[float, float]], number: int, keep: float, draw: random.Random
) -> tuple[float, float, float]:
    """(best of all, best of those that went on, share of the epochs spent) of one draw of cells."""
    chosen = draw.sample(cells, number)
    rung = Rung(SHORT, WHOLE, keep, 3)
    seen: list[dict[str, float]] = []
    went_on = []
    for short, whole in chosen:
        if reason_to_stop(("accuracy",), {"accuracy": short}, seen, rung) is None:
            went_on.append(whole)
        seen.append({"accuracy": short})
    epochs = WHOLE * len(went_on) + SHORT * (number - len(went_on))
    return max(whole for _, whole in chosen), max(went_on), epochs / (WHOLE * number)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cells = list(read(arguments.table).values())
    result: dict[str, Any] = {
        "table": arguments.table.name,
        "repeats": REPEATS,
        "rung": f"{SHORT} of {WHOLE} epochs",
        "runs": [],
    }
    for number in (16, 27, 64):
        for keep in (0.5, 0.34, 0.2):
            draw = random.Random(0)
            runs = [replay(cells, number, keep, draw) for _ in range(REPEATS)]
            lost = [whole - kept for whole, kept, _ in runs]
            entry = {
                "cells": number,
                "keep": keep,
                "best_of_all_mean": round(statistics.mean(whole for whole, _, _ in runs), 3),
                "best_kept_mean": round(statistics.mean(kept for _, kept, _ in runs), 3),
                "lost_points_mean": round(statistics.mean(lost), 3),
                "lost_points_90th_percentile": round(statistics.quantiles(lost, n=10)[8], 3),
                "best_was_kept": round(statistics.mean(value == 0 for value in lost), 3),
                "share_of_epochs": round(statistics.mean(share for _, _, share in runs), 3),
            }
            result["runs"].append(entry)
            print(json.dumps(entry), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
