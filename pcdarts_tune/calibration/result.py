"""What a calibration shows: for each recipe, each score and each epoch of the curve how well it ranks the cells, beside
predictors that cost nothing, and which recipe is the cheapest that is not shown to rank worse than the best.

    result = summarize(calibration)
    result.recipes[0].scores["accuracy"][-1].spearman
    result.comparison.recommended

A recipe's score is the mean over `evaluation.seeds` trainings, as in a sweep. With more seeds than that there are several such
scores: each figure is their mean, and `all_seeds` is that of one score over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from pcdarts_tune.calibration.agreement import (
    Array,
    Estimate,
    Ranking,
    average,
    difference,
)
from pcdarts_tune.calibration.cells import Cell
from pcdarts_tune.calibration.figures import Figures, describe_agreement, score_figures
from pcdarts_tune.calibration.recipes import Recipe
from pcdarts_tune.calibration.trial import Training
from pcdarts_tune.calibration.work import Calibration, Item
from pcdarts_tune.spaces.values import Score
from pcdarts_tune.training.journal import Record
from pcdarts_tune.training.scoring import Score as ScoreValue
from pcdarts_tune.training.scoring import score_training

SCORES: tuple[str, ...] = get_args(Score)
PREDICTORS = ("params", "macs")
RULE = (
    "the cheapest recipe whose Spearman is not shown to be below the best's: the 95 % interval of the difference, by a "
    "bootstrap over the same cells, holds 0"
)


@dataclass(frozen=True)
class RecipeFigures:
    """One recipe.

    Attributes:
        cells: those whose trainings all ended well, in the file's order; the figures are over them.
        unit: `CPU` or `GPU`. `hours`: such hours a cell, of one score. `total`: spent on all trainings that are known.
        scores: by name, for each epoch. `predictors`: by name.
        values: the score of each cell after each epoch, by name, (seeds, n, epochs).
    """

    recipe: Recipe
    cells: Sequence[Cell]
    unit: str
    hours: float
    total: float
    scores: Mapping[str, Sequence[Figures]]
    predictors: Mapping[str, Figures]
    values: Mapping[str, Array] = field(repr=False)
    sizes: Mapping[str, Array] = field(repr=False)

    @property
    def objective(self) -> str:
        """The score that the space names."""
        return self.recipe.space.objective

    @property
    def last(self) -> Figures:
        """Of the space's objective after the last epoch."""
        return self.scores[self.objective][-1]

    def hours_after(self, epoch: int) -> float:
        """Hours a cell up to an epoch, each taken to be as long as the others."""
        return self.hours * epoch / self.recipe.space.evaluation.epochs

    @property
    def ordered_scores(self) -> list[str]:
        """The space's objective first."""
        return [self.objective, *(name for name in self.scores if name != self.objective)]

    def to_dict(self) -> dict[str, Any]:
        evaluation = self.recipe.space.evaluation
        cells = [
            {
                "cell": cell.name,
                "genotype_hash": cell.genotype.canonical_hash(),
                "truth": cell.truth,
                **{name: int(self.sizes[name][at]) for name in PREDICTORS},
                "scores": {name: float(self.values[name][:, at, -1].mean()) for name in self.scores},
                "curves": {name: self.values[name][:, at].tolist() for name in self.scores},
            }
            for at, cell in enumerate(self.cells)
        ]
        return {
            "name": self.recipe.name,
            "settings": self.recipe.settings,
            "objective": self.objective,
            "epochs": evaluation.epochs,
            "seeds_of_a_score": evaluation.seeds,
            "n": len(self.cells),
            "cost": {"unit": self.unit, "hours_a_cell": self.hours, "hours": self.total},
            "scores": {
                name: [
                    {**each.to_dict(), "hours_a_cell": self.hours_after(end)}
                    for end, each in enumerate(self.scores[name], 1)
                ]
                for name in self.ordered_scores
            },
            "predictors": {name: each.to_dict() for name, each in self.predictors.items()},
            "cells": cells,
        }


@dataclass(frozen=True)
class Comparison:
    """Recipes side by side, on the cells that all of them have.

    Attributes:
        behind: by recipe, the best one's Spearman minus its own.
    """

    n: int
    best: str
    recommended: str
    behind: Mapping[str, Estimate]

    def __str__(self) -> str:
        if self.behind[self.best].interval is None:
            return f"best: {self.best}; n={self.n} says nothing of which recipe ranks better"
        cheapest = f"cheapest that is not shown to rank worse: {self.recommended}"
        return f"best: {self.best}; {cheapest} (n={self.n})"

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "best": self.best,
            "recommended": self.recommended,
            "behind": {name: each.to_dict() for name, each in self.behind.items()},
            "rule": RULE,
        }


@dataclass(frozen=True)
class CalibrationResult:
    """All figures of a calibration. `left`: trainings that have not ended. `failed`: those that did not end well."""

    calibration: Calibration
    recipes: Sequence[RecipeFigures]
    comparison: Comparison | None
    left: int
    failed: Sequence[tuple[Item, str]]

    def to_dict(self) -> dict[str, Any]:
        """The object that `calibrate --json` prints."""
        failed = [
            {
                "cell": item.cell.name,
                "recipe": item.recipe.name,
                "seed": item.seed,
                "reason": reason,
                "folder": self.calibration.address(item),
            }
            for item, reason in self.failed
        ]
        calibration = self.calibration
        return {
            "name": calibration.name,
            "space": calibration.recipes[0].space.name,
            "folder": str(calibration.folder),
            "cells": len(calibration.cells),
            "trainings": len(calibration.items),
            "left": self.left,
            "failed": failed,
            "recipes": [each.to_dict() for each in self.recipes],
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }


def summarize(calibration: Calibration) -> CalibrationResult:
    """The figures over the trainings that are known; recipes without two whole cells are left out."""
    # the matrices are small: on a busy machine several threads would wait for each other
    with threadpool_limits(1):
        return _summarize(calibration)


def _summarize(calibration: Calibration) -> CalibrationResult:
    known = {id(item): calibration.known(item) for item in calibration.items}
    failed = [(item, found) for item in calibration.items if isinstance(found := known[id(item)], str)]
    recipes = []
    for recipe in calibration.recipes:
        own = [item for item in calibration.items if item.recipe is recipe]
        whole = _whole_cells(own, known)
        if len(whole) > 1:
            recipes.append(_figures(recipe, calibration.cells, whole))
    left = sum(found is None for found in known.values())
    return CalibrationResult(calibration, recipes, compare(recipes), left, failed)


def _whole_cells(
    items: Sequence[Item], known: Mapping[int, Training | str | None]
) -> dict[str, list[Training]]:
    """The name of each cell whose trainings all ended well -> its trainings, by seed."""
    found: dict[str, list[Training]] = {}
    broken = {item.cell.name for item in items if not isinstance(known[id(item)], Training)}
    for item in sorted(items, key=lambda item: item.seed):
        training = known[id(item)]
        if item.cell.name not in broken and isinstance(training, Training):
            found.setdefault(item.cell.name, []).append(training)
    return found


def _figures(recipe: Recipe, cells: Sequence[Cell], trainings: Mapping[str, list[Training]]) -> RecipeFigures:
    whole = [cell for cell in cells if cell.name in trainings]
    rows = [trainings[cell.name] for cell in whole]
    ranking = Ranking(np.array([cell.truth for cell in whole]))
    values: dict[str, Array] = {}
    errors: dict[str, list[float | None]] = {}
    for name in SCORES:
        try:
            scored = [[_score_epochs(name, each.curve) for each in row] for row in rows]
        except LookupError:
            continue  # curves of older versions lack what the score is made of
        values[name] = np.array([[[s.value for s in curve] for curve in row] for row in scored]).transpose(
            1, 0, 2
        )
        errors[name] = [
            _mean([row[0][end].standard_error for row in scored]) for end in range(values[name].shape[2])
        ]
    together, flat = recipe.space.evaluation.seeds, [each for row in rows for each in row]
    sizes = {name: np.array([getattr(row[0], name) for row in rows], dtype=float) for name in PREDICTORS}
    return RecipeFigures(
        recipe,
        whole,
        "GPU" if flat[0].gpus else "CPU",
        math.fsum(each.hours for each in flat) / len(flat) * together,
        math.fsum(each.hours for each in flat),
        {
            name: [
                score_figures(ranking, of[:, :, end], together, end + 1, errors[name][end])
                for end in range(of.shape[2])
            ]
            for name, of in values.items()
        },
        {name: score_figures(ranking, of[None]) for name, of in sizes.items()},
        values,
        sizes,
    )


def _score_epochs(name: str, curve: Sequence[Record]) -> list[ScoreValue]:
    """A score after each epoch."""
    return [score_training(name, curve[: end + 1]) for end in range(len(curve))]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def compare(recipes: Sequence[RecipeFigures]) -> Comparison | None:
    """The recipes on their common cells, by `RULE`; None where there is nothing to compare."""
    if len(recipes) < 2:
        return None
    common = set.intersection(*({cell.name for cell in each.cells} for each in recipes))
    if len(common) < 2:
        return None
    cells = [cell for cell in recipes[0].cells if cell.name in common]
    ranking = Ranking(np.array([cell.truth for cell in cells]))
    found: dict[str, Estimate] = {}
    for each in recipes:
        at = [index for index, cell in enumerate(each.cells) if cell.name in common]
        scores, together = each.values[each.objective][:, at, -1], each.recipe.space.evaluation.seeds
        groups = [scores[g : g + together].mean(0) for g in range(0, len(scores) - together + 1, together)]
        found[each.recipe.name] = average([ranking.spearman(group) for group in groups])
    best = max(found, key=lambda name: -math.inf if math.isnan(found[name].value) else found[name].value)
    behind = {name: difference(found[best], each) for name, each in found.items()}
    costs = {each.recipe.name: each.hours for each in recipes}
    level = [name for name, each in behind.items() if name == best or _holds_zero(each)]
    return Comparison(len(cells), best, min(level, key=lambda name: costs[name]), behind)


def _holds_zero(behind: Estimate) -> bool:
    """Whether the difference may be 0; also where its interval is not known."""
    return behind.interval is None or behind.interval[0] <= 0


def describe(recipe: RecipeFigures) -> str:
    """What the space's own score is worth, in one sentence."""
    last, n = recipe.last, len(recipe.cells)
    return f"{recipe.objective}: {describe_agreement(last.spearman, n)}"
