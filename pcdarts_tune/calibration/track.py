"""A calibration in MLflow: a run with the figures at every epoch, and the table; with several recipes a nested run for each.

    track_calibration(result)           # the run's id

A run is found again by what was trained: the same command writes nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pcdarts_tune.calibration.figures import Figures
from pcdarts_tune.calibration.result import PREDICTORS, CalibrationResult, RecipeFigures
from pcdarts_tune.home import artifact_root
from pcdarts_tune.spaces.values import label
from pcdarts_tune.tracking.provenance import versions
from pcdarts_tune.tracking.run import Run, delivering
from pcdarts_tune.tracking.store import Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.journal import digest

_TABLE = "calibration.json"
_MARK = "hours_a_cell"
"""A metric that every epoch has."""


def track_calibration(result: CalibrationResult) -> str:
    """Write the figures, unless they are there; the run's id.

    Raises:
        Undelivered: MLflow's store cannot be reached.
    """
    calibration = result.calibration
    where = calibration.where
    store = MlflowStore(where.mlflow_uri, artifact_root(where.home))
    with delivering():
        run = _open(store, result, calibration.name, _identity(result), None)
        if len(result.recipes) == 1:
            _log(run, result.recipes[0])
        else:
            for recipe in result.recipes:
                identity = _identity(result, recipe.recipe.name)
                own = _open(
                    store, result, f"{calibration.name} {recipe.recipe.name}", identity, recipe, run.run_id
                )
                _log(own, recipe)
                store.close_run(own.run_id, "FINISHED")
        rows = tabulate(result)
        store.log_file(
            run.run_id, {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}, _TABLE
        )
        store.log_file(run.run_id, result.to_dict(), "figures.json")
        store.set_tags(
            run.run_id,
            {
                # what makes MLflow show the file as a table
                "mlflow.loggedArtifacts": json.dumps([{"path": _TABLE, "type": "table"}]),
                "mlflow.note.content": _describe(result),
            },
        )
        store.close_run(run.run_id, "FINISHED")
    return run.run_id


def _identity(result: CalibrationResult, recipe: str | None = None) -> dict[str, str]:
    """The tags by which a calibration's run, or that of one of its recipes, is found again."""
    calibration = result.calibration
    what: dict[str, Any] = {
        "name": calibration.name,
        "trainings": sorted({item.key for item in calibration.items}),
        "truths": {cell.name: cell.truth for cell in calibration.cells},
        "recipes": [each.name for each in calibration.recipes],
        "recipe": recipe,
    }
    if result.failed:  # tried again, they change the figures
        what["failed"] = sorted(item.key for item, _ in result.failed)
    return {Tag.KIND: "calibration", Tag.CALIBRATION: digest(what)}


def _open(
    store: MlflowStore,
    result: CalibrationResult,
    name: str,
    identity: Mapping[str, str],
    recipe: RecipeFigures | None,
    parent: str | None = None,
) -> Run:
    calibration = result.calibration
    spaces = recipe.recipe.space if recipe is not None else calibration.recipes[0].space
    chosen = recipe or (result.recipes[0] if len(result.recipes) == 1 else None)
    settings = {} if chosen is None else chosen.recipe.settings
    content = Content(
        parameters={
            key: label(value) if not isinstance(value, list) else str(value)
            for key, value in settings.items()
        },
        files={"space.json": spaces.model_dump(mode="json")},
    )
    tags = {
        Tag.SPACE: spaces.name,
        **{f"{Tag.VERSION}{package}": version for package, version in versions().items()},
    }
    run_id, fresh = store.open_run(
        spaces.name, identity, name=name, tags=tags, parent=parent, content=lambda: content
    )
    return Run(store, run_id, fresh=fresh)


def _log(run: Run, recipe: RecipeFigures) -> None:
    """The figures of the space's own score under their names, of the others below theirs, at each epoch."""
    curves = recipe.scores
    epochs = len(curves[recipe.objective])
    for end in range(epochs):
        metrics: dict[str, float] = {_MARK: recipe.hours_after(end + 1), "n": float(len(recipe.cells))}
        for name, curve in curves.items():
            prefix = "" if name == recipe.objective else f"{name}/"
            metrics |= {f"{prefix}{key}": value for key, value in figure_values(curve[end]).items()}
        if end == epochs - 1:
            for name in PREDICTORS:
                metrics |= {
                    f"{name}/{key}": value for key, value in figure_values(recipe.predictors[name]).items()
                }
        run.log(metrics, end + 1, mark=_MARK)


def figure_values(figures: Figures) -> dict[str, float]:
    """The figures as numbers by name; those that are not known are left out."""
    found: dict[str, float | None] = {
        "spearman": figures.spearman.value,
        "kendall": figures.kendall.value,
        "better_of_two": figures.better_of_two.value,
        "spread": figures.spread,
        "standard_error": figures.standard_error,
        **{f"regret_of_{size}": each.value for size, each in figures.regret.items()},
    }
    for name, estimate in (("spearman", figures.spearman), ("kendall", figures.kendall)):
        low, high = estimate.interval or (None, None)
        found |= {f"{name}_low": low, f"{name}_high": high}
    if figures.noise is not None:
        found |= {"noise": figures.noise.share, "seed_error": figures.noise.standard_error}
    if figures.all_seeds is not None:
        found["spearman_all_seeds"] = figures.all_seeds.value
    return {name: value for name, value in found.items() if value is not None and value == value}


def tabulate(result: CalibrationResult) -> list[dict[str, Any]]:
    """A row for each recipe and score after the last epoch, and for what costs nothing; None where there is no number."""
    rows: list[dict[str, Any]] = []
    for recipe in result.recipes:
        shown: list[tuple[str, Figures, float]] = [
            (name, recipe.scores[name][-1], recipe.hours) for name in recipe.ordered_scores
        ]
        shown += [(name, recipe.predictors[name], 0.0) for name in PREDICTORS]
        for name, figures, hours in shown:
            low, high = figures.spearman.interval or (None, None)
            known = figure_values(figures)
            row: dict[str, Any] = {"recipe": recipe.recipe.name, "score": name, "n": len(recipe.cells)}
            row |= {"Spearman": known.get("spearman"), "95 % low": low, "95 % high": high}
            row |= {"Kendall": known.get("kendall"), "better of two": known.get("better_of_two")}
            row |= {
                "noise": known.get("noise"),
                "standard error": known.get("seed_error", known.get("standard_error")),
            }
            rows.append({**row, f"{recipe.unit}-hours a cell": hours})
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def _describe(result: CalibrationResult) -> str:
    rows: Sequence[dict[str, Any]] = tabulate(result)
    lines = [
        f"Calibration `{result.calibration.name}`: how well scores rank {len(result.calibration.cells)} cells of known accuracy.",
        "",
        f"| {' | '.join(rows[0])} |",
        f"|{' --- |' * len(rows[0])}",
    ]
    for row in rows:
        cells = (
            "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
            for value in row.values()
        )
        lines.append(f"| {' | '.join(cells)} |")
    if result.comparison is not None:
        lines += ["", f"{result.comparison}."]
    return "\n".join(lines)
