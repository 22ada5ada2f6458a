"""Calibrations whose trainings are made up: nothing is trained, and the scores are what a test says."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from pcdarts_tune.calibration.cells import Cell
from pcdarts_tune.calibration.recipes import Recipe, read_recipes
from pcdarts_tune.calibration.trial import images_key
from pcdarts_tune.calibration.work import Calibration, Item
from pcdarts_tune.core.genotype import Genotype, random_genotype
from pcdarts_tune.datasets.load import load_dataset
from pcdarts_tune.home import Where
from pcdarts_tune.tasks import CPUS, GPUS, Outcome

Curve = Callable[[Item], Sequence[float]]
"""The held-out accuracy of a training after each epoch."""


def some_cells(count: int) -> list[Cell]:
    """Random cells, each better than the one before."""
    return [Cell(f"c{at}", random_genotype(at), 90.0 + at / 10) for at in range(count)]


def write_cells(path: Path, cells: Sequence[Cell], column: str = "accuracy") -> Path:
    """A CSV file of cells as pairs."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cell", "normal", "reduce", column])
        for cell in cells:
            assert isinstance(cell.genotype, Genotype)
            kinds = (cell.genotype.normal, cell.genotype.reduce)
            pairs = [" ".join(f"{operation}:{source}" for operation, source in kind) for kind in kinds]
            writer.writerow([cell.name, *pairs, cell.truth])
    return path


def made_up(
    home: Path,
    cells: Sequence[Cell],
    given: Sequence[str],
    curve: Curve,
    *,
    name: str = "made",
    seeds: int = 1,
) -> Calibration:
    """A calibration over `quickstart` whose trainings all ended, those aside for which `curve` gives nothing."""
    recipes = read_recipes("quickstart", given=given)
    calibration = plan(home, cells, recipes, name=name, seeds=seeds)
    for item in calibration.items:
        if accuracies := curve(item):
            item.cache.write(entry(item, accuracies))
    return calibration


def plan(
    home: Path, cells: Sequence[Cell], recipes: Sequence[Recipe], *, name: str = "made", seeds: int = 1
) -> Calibration:
    """A calibration on the digits."""
    images = {images_key(each.space.data): load_dataset(each.space.data) for each in recipes}
    return Calibration.plan(Where(home), name, cells, recipes, images, seeds=seeds)


def entry(item: Item, accuracies: Sequence[float]) -> dict[str, object]:
    """What a training leaves in the evaluation cache: its loss falls as its accuracy rises."""
    curve = [
        {
            "epoch": at,
            "epochs": len(accuracies),
            "accuracy": accuracy,
            "metrics": {
                "evaluation/loss_held_out": 1 - accuracy,
                "evaluation/acc_train": accuracy,
                "evaluation/loss_train": 2 - accuracy,
            },
        }
        for at, accuracy in enumerate(accuracies)
    ]
    size = int(item.cell.genotype.canonical_hash()[:3], 16)
    seconds = 36.0 * item.recipe.space.evaluation.channels
    outcome = Outcome(
        "complete",
        accuracies[-1],
        params=size,
        macs=10 * size,
        seconds=seconds,
        metrics={CPUS: 1.0, GPUS: 0.0},
    )
    metrics = outcome.metrics
    return {
        "trial": 0,
        "objective": accuracies[-1],
        "metrics": metrics,
        "outcome": outcome.to_dict(),
        "curve": curve,
    }
