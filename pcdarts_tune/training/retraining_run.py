"""A retraining in MLflow: one run, found again when the training goes on, linked to the trial of its genotype.

run = open_run(Tracked(store, "quickstart", "first t03 retraining", tags), work, device)
run.end(end_run, run.run, done)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import torch

from pcdarts_tune import plugins
from pcdarts_tune.core.cost import Latency
from pcdarts_tune.datasets.load import about_images
from pcdarts_tune.drawing.cells import cell_svg, cells_png
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json
from pcdarts_tune.spaces.naming import short_value
from pcdarts_tune.spaces.sizes import resolve_recipe
from pcdarts_tune.tracking.run import EpochRun, Run, Tracked, common_tags, delivering
from pcdarts_tune.tracking.store import Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.journal import Record
from pcdarts_tune.training.scoring import describe_scores
from pcdarts_tune.training.work import STAGE, Retrained, Retraining


def open_run(tracked: Tracked, work: Retraining, device: torch.device) -> EpochRun:
    """The run of this retraining: the one it began in when it goes on."""

    def content() -> Content:
        recipe = resolve_recipe(work.space.retrain, work.images.image_size).model_dump(mode="json")
        augment = recipe.pop("augment")
        return Content(
            {f"retrain.{key}": value for key, value in recipe.items()}
            | {f"retrain.augment.{key}": value for key, value in augment.items()},
            {
                "genotype.json": work.genotype.to_dict(),
                "space.json": work.space.model_dump(mode="json"),
                "cells.svg": cell_svg(work.genotype),
                **plugins.artifact_of(work.genotype.to_dict(), work.space.model_dump(mode="json")),
            },
            {"cells": cells_png(work.genotype)},
            about_images(work.images),
            context="retraining",
        )

    identity = {Tag.RETRAINING: work.recipe}
    identity |= {tag: value for tag, value in tracked.tags.items() if tag == Tag.TRIAL_RUN}
    tags = common_tags("retraining", work.space, work.images, work.seed)
    tags[Tag.GENOTYPE_HASH] = work.genotype.canonical_hash()
    if work.groups > 1:
        tags[Tag.GROUPS] = str(work.groups)
    return EpochRun.open(tracked, identity, tags, content, device)


def end_run(run: Run, done: Retrained) -> None:
    """Log what came of the training and end its run; once more when the test split was read."""
    store, run_id, step = run.store, run.run_id, done.epochs - 1
    if done.test_accuracy is not None and done.test_loss is not None:
        numbers = {"test/acc": done.test_accuracy, "test/loss": done.test_loss}
        run.log(numbers, step, mark="test/acc")
    log_classes(run, done)
    # models of older versions say nothing of their cost
    if (cost := read_json(done.folder / "model.json")["origin"].get("cost")) is not None:
        latency = Latency(**cost["latency_ms"])
        numbers = {f"cost/{name}": float(cost[name]) for name in ("params", "macs", "bytes")}
        numbers |= {
            "cost/latency_ms": latency.median,
            "cost/lower_latency_ms": latency.lower,
            "cost/upper_latency_ms": latency.upper,
        }
        run.log(numbers, step, mark="cost/latency_ms")
        store.set_tags(run_id, {Tag.LATENCY: str(latency)})
    info = store.client.get_run(run_id)
    what = "Fine-tuning" if info.data.tags.get(Tag.KIND) == "finetuning" else "Retraining"
    store.set_tags(run_id, {"mlflow.note.content": _describe(what, done), Tag.WEIGHTS: done.weights})
    # with what came of it, as the names of trials have it: MLflow's table hides the columns at first
    name = str(info.info.run_name).partition(" acc=")[0]
    accuracy = done.test_accuracy if done.validation_accuracy is None else done.validation_accuracy
    if accuracy is not None:
        name += f" acc={short_value(accuracy)}"
    store.close_run(run_id, "FINISHED", name=name)


MOST_CLASSES = 100
"""Recalls are metrics of their own up to so many classes; the table has all."""
_TABLE = "classes.json"
_LONGEST = 200
"""Signs of a class's name in the name of a metric."""


def log_classes(run: Run, done: Retrained) -> None:
    """Log what is known of each class: recalls as metrics, and a table that MLflow shows."""
    step, by_class = done.epochs - 1, dict[str, dict[str, Any]]()
    for where, scores in {"held_out": done.held_out_scores, "test": done.test_scores}.items():
        if scores is None:
            continue
        numbers = {f"{where}/{name}": scores[name] for name in ("balanced_accuracy", "majority")}
        names = metric_names([row["class"] for row in scores["by_class"]])
        for row, name in zip(scores["by_class"], names, strict=True):
            cells = by_class.setdefault(row["class"], {"class": row["class"]})
            cells |= {f"{where} images": row["images"], f"{where} recall": row["recall"]}
            if row["recall"] is not None and len(scores["by_class"]) <= MOST_CLASSES:
                numbers[f"{where}_recall/{name}"] = row["recall"]
        run.log(numbers, step, mark=f"{where}/balanced_accuracy")
    if by_class:
        columns = list(dict.fromkeys(key for cells in by_class.values() for key in cells))
        table = {
            "columns": columns,
            "data": [[cells.get(key) for key in columns] for cells in by_class.values()],
        }
        run.store.log_file(run.run_id, table, _TABLE)
        shown = json.dumps([{"path": _TABLE, "type": "table"}])  # what makes MLflow show the file as a table
        run.store.set_tags(run.run_id, {"mlflow.loggedArtifacts": shown})


def metric_names(classes: Sequence[str]) -> list[str]:
    """Names of classes as parts of metrics' names, which hold few signs and at most 250: each of its own.

    >>> metric_names(["C+", "C#", "D"])
    ['C_', 'C_ 2', 'D']
    """
    taken: dict[str, None] = {}
    for each in classes:
        name = shown = re.sub(r"[^\w\-. :]", "_", each)[:_LONGEST].strip(".") or "_"
        number = 1
        while shown in taken:
            number += 1
            shown = f"{name} {number}"
        taken[shown] = None
    return list(taken)


def complete_run(store: MlflowStore, done: Retrained, records: Sequence[Record]) -> None:
    """End the run of a retraining that was cut off between the model and the end of its run; `records`: of all its
    epochs where some may be missing, empty where none are.

    Raises:
        UserError: the run is in another store.
        Undelivered: MLflow did not take all of it.
    """
    assert done.run_id is not None, "it is tracked"
    run = EpochRun(Run(store, done.run_id))
    with delivering():
        ended = _has_ended(run.run, done)
    if records or not ended:
        for step, record in enumerate(records):
            run.record(STAGE, step, record)
        run.end(end_run, run.run, done)


def _has_ended(run: Run, done: Retrained) -> bool:

    from mlflow.exceptions import MlflowException

    try:
        run.store.restore_run(run.run_id)
        status = run.store.client.get_run(run.run_id).info.status
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"{done.folder} was recorded in another MLflow store: this one has no run {run.run_id}",
            hint="--home or --tracking-uri where it was recorded, --no-track, or another folder with -o",
        ) from None
    return status == "FINISHED" and (done.test_accuracy is None or bool(run.steps("test/acc")))


def _describe(what: str, done: Retrained) -> str:
    """A training in two lines of Markdown."""
    accuracies = {
        "the test split": (done.test_accuracy, done.test_scores),
        "held-out images": (done.validation_accuracy, done.held_out_scores),
    }
    known = [
        f"**{value:.4f}** on {images}{describe_scores(scores)}"
        for images, (value, scores) in accuracies.items()
        if value is not None
    ]
    if done.test_accuracy is None:
        known.append("the test split was not read")
    return (
        f"{what}, {done.epochs} epochs: accuracy {', '.join(known)}.\n\n"
        f"To see where it comes from: `pcdarts-tune show {done.run_id}`"
    )
