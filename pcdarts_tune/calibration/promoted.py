"""Cells that the user's own promotions have trained in full, and how well the trials' short scores rank them.

    agreement = short_against_full(sweep)
    print(agreement)            # "held-out accuracy of the short training against the full training: Spearman 0.41 (95 % …"

Only trainings that are alike but for genotype and seed are compared; where promotions had several recipes, those with most
cells. A cell's full accuracy is its mean on held-out images (on the test split where nothing was held out) over the seeds.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcdarts_tune.calibration.agreement import Ranking
from pcdarts_tune.calibration.cells import Cell
from pcdarts_tune.calibration.figures import Figures, describe_agreement, score_figures
from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import sweep_names
from pcdarts_tune.spaces.scores import score_in_full
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.training.journal import digest


@dataclass(frozen=True)
class FullTraining:
    """A training by a promotion; `setting` is equal for those that can be compared."""

    genotype: AnyGenotype
    accuracy: float
    setting: str
    data: str


@dataclass(frozen=True)
class Agreement:
    """How well the scores of a sweep's trials rank cells that were trained in full; `score` names them."""

    score: str
    cells: Sequence[Cell]
    figures: Figures

    @property
    def n(self) -> int:
        return len(self.cells)

    def __str__(self) -> str:
        verdict = describe_agreement(self.figures.spearman, self.n)
        return f"{score_in_full(self.score)} of the short training against the full training: {verdict}"

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON, with `n` and `score`."""
        return {"score": self.score, "n": self.n, **self.figures.to_dict(), "verdict": str(self)}


def read_full_trainings(folder: Path, *, balanced: bool = False) -> list[FullTraining]:
    """What the promotions below a sweep's folder have trained; what is being written, or not whole, is left out.

    Args:
        balanced: their balanced accuracy counts, as in promotions of a space with that objective.
    """
    found = []
    for file in sorted((folder / "promotions").glob("*/model/model.json")):
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            origin = about["origin"]
            result, data = origin["result"], origin["data"]
            genotype = read_genotype(json.loads((file.parent / "genotype.json").read_text(encoding="utf-8")))
            accuracy = _accuracy(result, balanced=balanced)
            # records of older versions have no setting
            setting = origin.get("setting") or digest(
                {"network": about["network"], "epochs": result["epochs"], "images": data["digest"]}
            )
            found.append(FullTraining(genotype, accuracy, setting, data["name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _accuracy(result: Mapping[str, Any], *, balanced: bool) -> float:
    """On held-out images, else on the test split."""
    where = "test" if result.get("validation_accuracy") is None else "held_out"
    if balanced:
        return float(result[f"{where}_scores"]["balanced_accuracy"])
    return float(result["test_accuracy" if where == "test" else "validation_accuracy"])


def cells_of(trainings: Iterable[FullTraining]) -> list[Cell]:
    """The cells of the setting that has most of them, each with its mean accuracy, named by their hash."""
    by_setting: dict[str, dict[str, list[FullTraining]]] = {}
    for training in trainings:
        of_setting = by_setting.setdefault(training.setting, {})
        of_setting.setdefault(training.genotype.canonical_hash(), []).append(training)
    most = max(by_setting.values(), key=len, default={})
    return [
        Cell(name[:8], same[0].genotype, statistics.fmean(each.accuracy for each in same))
        for name, same in most.items()
    ]


def promoted_cells(home: Path, data: str) -> list[Cell]:
    """The cells that promotions of all sweeps in a home have trained in full on a data set, two at least.

    Args:
        data: the name of the data set.

    Raises:
        UserError: there are none.
    """
    trainings = [each for name in sweep_names(home) for each in read_full_trainings(home / "sweeps" / name)]
    cells = cells_of(each for each in trainings if each.data == data)
    if len(cells) < 2:
        others = sorted({each.data for each in trainings})
        there = f"; there are trainings on {', '.join(others)}" if others else ""
        raise UserError(
            f"promotions in {home} have trained {len(cells)} cell{'s' * (len(cells) != 1)} in full on {data}{there}: nothing "
            "to rank",
            hint="pcdarts-tune promote SWEEP --candidates 8, or --cells FILE",
        )
    return cells


def short_against_full(sweep: SweepHandle, setting: str | None = None) -> Agreement | None:
    """How well a sweep's trials rank the cells that its promotions trained in full; None with fewer than two.

    Args:
        setting: of the trainings that count; None for the one with most cells.
    """
    objective = sweep.space.objective
    trainings = read_full_trainings(sweep.folder.path, balanced=objective == "balanced_accuracy")
    cells = cells_of(each for each in trainings if setting in (None, each.setting))
    scores: dict[str, float] = {}
    for record in sweep.records():  # best first: of equal cells the first stands for all, as in a promotion
        if record.objective is not None and record.genotype is not None:
            scores.setdefault(read_genotype(record.genotype).canonical_hash(), record.objective)
    scored = [cell for cell in cells if cell.genotype.canonical_hash() in scores]
    if len(scored) < 2:
        return None
    ranking = Ranking(np.array([cell.truth for cell in scored]))
    short = np.array([[scores[cell.genotype.canonical_hash()] for cell in scored]])
    return Agreement(objective, scored, score_figures(ranking, short))
