"""An evaluation on the terminal and in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pcdarts_tune.drawing.evaluation import confusion_png, reliability_png
from pcdarts_tune.errors import UserError, visible
from pcdarts_tune.files import write_whole
from pcdarts_tune.say import print_table, say

MOST_CLASSES = 40
"""Classes in the table; of more, those with the lowest recall."""


def write_evaluation(result: Mapping[str, Any], folder: Path, title: str) -> None:
    """Write evaluation.json, confusion.png and reliability.png into a folder, made where there is none.

    Raises:
        UserError: it cannot be written to.
    """
    confusion, error = result["confusion"], result["expected_calibration_error"]
    contents: dict[str, str | bytes] = {
        "evaluation.json": json.dumps(result, indent=1) + "\n",
        "confusion.png": confusion_png(confusion["matrix"], confusion["classes"], title=title),
        "reliability.png": reliability_png(
            result["calibration"]["curve"], title=f"calibration error {error:.4f}"
        ),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as failed:
        hint = "-o FOLDER that is yours to write to"
        raise UserError(f"cannot write {folder}: {failed.strerror or failed}", hint=hint) from failed


def print_evaluation(result: Mapping[str, Any], name: str) -> None:
    """The figures, and a table of the classes."""
    whole = " (all of it)" if result["split"] == "all" else f", split {result['split']}"
    click.echo(visible(f"{result['model']} on {name}{whole}: {result['images']} images"))
    top = "" if result["top_5"] is None else f", top-5 {_share(result['top_5'], result['top_5_interval'])}"
    click.echo(
        f"accuracy {_share(result['accuracy'], result['accuracy_interval'])}, balanced accuracy "
        f"{result['balanced_accuracy']:.4f}{top}"
    )
    error = result["negative_log_likelihood_error"]
    spread = "" if error is None else f" ± {error:.4f}"
    click.echo(
        f"negative log-likelihood {result['negative_log_likelihood']:.4f}{spread}, expected calibration error "
        f"{result['expected_calibration_error']:.4f}"
    )
    rows = result["by_class"]
    if len(rows) > MOST_CLASSES:
        rows = sorted(rows, key=lambda row: 2.0 if row["recall"] is None else row["recall"])[:MOST_CLASSES]
        say(f"the {MOST_CLASSES} classes of lowest recall; --json and -o have all {len(result['by_class'])}")
    columns = ("class", "images", "recall", "95 %", "precision", "95 %")
    print_table(columns, [_cells(row) for row in rows], left=1)
    if result["mistakes"]:
        told = [
            f"{each['class']} for {each['taken_for']} ({each['images']})" for each in result["mistakes"][:5]
        ]
        click.echo(visible(f"commonest mistakes: {', '.join(told)}"))
    if result["unreadable"]:
        say(f"{len(result['unreadable'])} images could not be read and are left out", always=True)


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    cells = [visible(str(row["class"])), str(row["images"])]
    for name in ("recall", "precision"):
        share, interval = row[name], row[f"{name}_interval"]
        cells += ["", ""] if share is None else [f"{share:.4f}", f"{interval[0]:.4f} to {interval[1]:.4f}"]
    return cells


def _share(share: float, interval: Sequence[float]) -> str:
    return f"{share:.4f} (95 % {interval[0]:.4f} to {interval[1]:.4f})"
