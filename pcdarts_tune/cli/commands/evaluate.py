"""`pcdarts-tune evaluate`: how good a model is on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import Progress, say, verbosity


@click.command("evaluate")
@click.argument("model", shell_complete=completing.models)
@options.data
@options.settings
@click.option(
    "--split",
    type=options.NearestChoice(["test", "train", "all"]),
    help="What of the images.  [default: test; all of a set that brings no test split, and is not MODEL's own]",
)
@click.option(
    "-o",
    "--output",
    type=options.GivenPath(file_okay=False, path_type=Path),
    help="Folder for evaluation.json, confusion.png and reliability.png.",
)
@options.device
@options.store
@options.output
def command(
    model: str,
    data: Path | None,
    settings: tuple[str, ...],
    split: str | None,
    output: Path | None,
    device: str,
    where: Where,
    as_json: bool,
) -> None:
    """Classify labelled images with MODEL, and say how often and how surely it is right.

    MODEL is what `predict` takes. Without --data the images are those that it was made with. Classes are matched by their
    names, in whatever order; a class that MODEL does not know is an error. Files are converted and resized as at MODEL's
    training, and read one after the other: large sets need no memory.

    Shares have 95 % intervals (Wilson). The calibration error is the mean distance of confidence and accuracy over 15 bins of
    equal width.

    With --json, one object: {"model", "data", "split", "images", "unreadable", "accuracy", "accuracy_interval",
    "balanced_accuracy", "top_5", "top_5_interval", "negative_log_likelihood", "negative_log_likelihood_error",
    "expected_calibration_error", "calibration": {"bins", "curve"}, "by_class", "mistakes",
    "confusion": {"classes", "matrix"}}; row i of the matrix counts what the images of class i were taken for.

    \b
    Example:
      pcdarts-tune evaluate flowers@champion --data new-flowers
      pcdarts-tune evaluate my-model --data flowers --split test -o evaluated --json
    """
    from pcdarts_tune.cli.evaluating import print_evaluation, write_evaluation
    from pcdarts_tune.datasets.labelled import Split, find_labelled
    from pcdarts_tune.lineage.inherited import inherit
    from pcdarts_tune.models.evaluation import evaluate, recorded_data
    from pcdarts_tune.models.model import load_model
    from pcdarts_tune.spaces.settings import change, environment_settings, parse_settings
    from pcdarts_tune.spaces.space import DataConfig, Space
    from pcdarts_tune.sweeps.find import Finder

    found = Finder(where).find(model, "model")
    loaded, inherited = load_model(found.model()[0], choose_device(device)), inherit(found)
    if data is None and inherited is None:
        raise UserError(f"{model} says nothing of its images", hint="--data DIR")
    space = Space(name="images", data=DataConfig(dataset="folder")) if inherited is None else inherited.space
    root = data or (None if inherited is None else inherited.data_root)
    configured, quiet = (
        change(space, [*environment_settings(), *parse_settings(settings)]).data,
        verbosity() < 0,
    )
    trained_on = recorded_data(loaded)
    labelled = find_labelled(
        configured,
        root,
        loaded.preprocessing,
        split=cast("Split | None", split),
        trained_on=trained_on,
        cache_dir=where.home / "cache",
    )
    if root is None and trained_on is not None and labelled.name != trained_on["name"]:
        raise UserError(
            f"{model} was trained on {trained_on['name']!r}, and it is not recorded where these images are",
            hint="--data DIR",
        )
    labelled = labelled.renumber(loaded.classes)
    if not quiet:
        for note in labelled.notes:
            say(f"note: {note}")
    with Progress("evaluating", len(labelled), quiet=quiet, every=5) as progress:
        evaluation = evaluate(
            loaded, labelled, max_unreadable=configured.max_unreadable, progress=progress.update
        )
    about = {"model": model, "data": str(root or labelled.name), "split": labelled.split}
    result = {**about, **evaluation.to_dict()}
    if output is not None:
        write_evaluation(result, output, f"{model} on {labelled.name}")
    if as_json:
        click.echo(json.dumps(result))
    else:
        print_evaluation(result, labelled.name)
    if output is not None:
        say(f"written: {output}/evaluation.json, confusion.png, reliability.png")
