"""How well measured scores, and predictors that cost nothing, rank cells of known accuracy: tables of benchmarks/README.md.

    python benchmarks/search/ranking.py benchmarks/results/calibration-nasbench201_cpu.json
    python benchmarks/search/ranking.py benchmarks/results/calibration-cifar10_cpu.json --cells darts_cells_600_epochs.csv.gz

Spearman correlations with the known accuracy and their 95 % bootstrap intervals, by the product's own code. With --cells, the
public table of trained DARTS cells (Yang et al. 2020): its earlier epochs on the same cells, and what counts of operations say.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdarts_tune.calibration.agreement import Ranking
from pcdarts_tune.core.genotype import DARTS_PRIMITIVES

Array = NDArray[np.float64]
SPLITS = 50
"""Into halves, one to fit on and one to judge on."""


def scores_of(trainings: list[dict[str, Any]]) -> dict[str, Array]:
    """Score -> its value for each cell, high is good."""
    curves = np.array([training["curve"] for training in trainings])
    train_loss, _, loss, accuracy = (curves[:, :, column] for column in range(4))
    return {
        "held-out accuracy": accuracy[:, -1],
        "held-out loss": -loss[:, -1],
        "training loss, last epoch": -train_loss[:, -1],
        "training loss, mean of all epochs": -train_loss.mean(1),
        "parameters": np.array([training["params"] for training in trainings], dtype=float),
        "MACs": np.array([training["macs"] for training in trainings], dtype=float),
    }


def print_table(truth: Array, scores: dict[str, Array]) -> None:
    """Spearman of each score as a Markdown table."""
    ranking = Ranking(truth)
    print("| score | Spearman (95 %) |\n| --- | --- |")
    for name, values in scores.items():
        found = ranking.spearman(values)
        low, high = found.interval or (float("nan"), float("nan"))
        print(f"| {name} | {found.value:.2f} ({low:.2f} to {high:.2f}) |")


def read_public(path: Path) -> dict[str, dict[str, str]]:
    """The rows of the table of trained DARTS cells, by the cell's name."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {row["cell"]: row for row in csv.DictReader(file)}


def count_features(row: dict[str, str]) -> dict[str, float]:
    """Of each cell: how often it has an operation, its longest path and its edges from the inputs."""
    found: dict[str, float] = {}
    for kind in ("normal", "reduce"):
        edges = [edge.split(":") for edge in row[kind].split()]
        depth = [0, 0]
        for first, second in zip(edges[::2], edges[1::2], strict=True):
            depth.append(1 + max(depth[int(first[1])], depth[int(second[1])]))
        for operation in DARTS_PRIMITIVES[1:]:
            found[f"{kind} {operation}"] = sum(name == operation for name, _ in edges)
        found[f"{kind} depth"] = max(depth)
        found[f"{kind} input edges"] = sum(int(source) < 2 for _, source in edges)
    return found


def print_counts(rows: list[dict[str, str]]) -> None:
    """What counts of operations say of all public cells: each alone, and together by ridge regression on halves."""
    truth = np.array([float(row["test_e600"]) for row in rows])
    features = [count_features(row) for row in rows]
    print(f"\nall {len(rows)} public cells: standard deviation {truth.std(ddof=1):.2f} points\n")
    table = np.array([list(each.values()) for each in features])
    print_table(truth, {name: table[:, at] for at, name in enumerate(features[0])})
    draw, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        order = draw.permutation(len(truth))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        for fitted, judged in (halves, halves[::-1]):
            predicted = predict_by_ridge(table[fitted], truth[fitted], table[judged])
            found.append(Ranking(truth[judged], resamples=0).spearman(predicted).value)
    print(
        f"\nridge regression on all counts, fit on one half and judged on the other: {np.mean(found):.2f} "
        f"(standard deviation {np.std(found):.2f} over {SPLITS} splits)"
    )


def predict_by_ridge(x: Array, y: Array, other: Array, penalty: float = 30.0) -> Array:
    """What ridge regression on standardised features predicts, up to a constant."""
    mean, std = x.mean(0), x.std(0) + 1e-9
    z = (x - mean) / std
    weights = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    predicted: Array = ((other - mean) / std) @ weights
    return predicted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--cells", type=Path, help="darts_cells_600_epochs.csv.gz")
    given = parser.parse_args()
    trainings = json.loads(given.results.read_text(encoding="utf-8"))["trainings"]
    public = {} if given.cells is None else read_public(given.cells)
    for recipe in dict.fromkeys(training["recipe"] for training in trainings):
        mine = [training for training in trainings if training["recipe"] == recipe]
        truth = np.array([training["truth"] for training in mine])
        seconds = np.mean([training["core_seconds"] for training in mine])
        print(f"recipe {recipe}: {len(mine)} cells, {seconds:.0f} core-seconds a cell\n")
        scores = scores_of(mine)
        for epoch in ("50", "100", "200") if public else ():
            values = [float(public[training["cell"]][f"test_e{epoch}"]) for training in mine]
            scores[f"published training, epoch {epoch}"] = np.array(values)
        print_table(truth, scores)
        curves, ranking = np.array([training["curve"] for training in mine]), Ranking(truth, resamples=0)
        epochs = [ranking.spearman(curves[:, at, 3]).value for at in range(curves.shape[1])]
        print(f"\nheld-out accuracy after each epoch: {', '.join(f'{value:.2f}' for value in epochs)}\n")
    if public:
        print_counts(list(public.values()))


if __name__ == "__main__":
    main()
