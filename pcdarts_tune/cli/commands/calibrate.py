"""`pcdarts-tune calibrate`: how well a space's score ranks cells of known accuracy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, run_options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say
from pcdarts_tune.tasks import Execution

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings


@click.command("calibrate")
@click.argument("space", shell_complete=completing.spaces)
@click.option(
    "--cells",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Cells with a known accuracy each: a CSV file (also .csv.gz) or a JSON list.  [default: the cells that your "
    "promotions have trained in full]",
)
@click.option(
    "--truth",
    metavar="COLUMN[,COLUMN]",
    help="The column of the known accuracy, or several, whose mean is taken.  [default: accuracy, or the only numbers]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    metavar="N",
    help="Take N of the cells, drawn at random, always the same ones; with a larger N more are added.",
)
@options.count("--seeds", 1, "Train each cell N times; from 2 on the noise is known.", metavar="N")
@options.settings
@click.option(
    "--recipe",
    "given",
    metavar="NAME:KEY=VALUE,…",
    multiple=True,
    help="A recipe to compare, such as wide:evaluation.channels=16,evaluation.epochs=3; NAME: alone is the space as it "
    "is; may be given again.",
)
@click.option(
    "--recipes",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A YAML file of recipes to compare: NAME: {KEY: VALUE, …}",
)
@click.option("--name", help="The calibration's name.  [default: the space's and the file's]")
@options.data
@options.seed
@run_options
@execution_options()
@options.storage
@options.output_file("Write a page with the plots.")
@options.store
@options.output
def command(
    space: str,
    cells: Path | None,
    truth: str | None,
    limit: int | None,
    seeds: int,
    settings: tuple[str, ...],
    given: tuple[str, ...],
    recipes: Path | None,
    name: str | None,
    data: Path | None,
    seed: int | None,
    run: RunSettings,
    execution: Execution,
    storage: str | None,
    output: Path | None,
    where: Where,
    as_json: bool,
) -> int:
    """Train cells whose accuracy is known with the evaluation recipe of SPACE, and say how well their scores rank them.

    Without --cells the cells are those that `promote` has trained in full on these images, with their held-out accuracy.

    Each cell and seed is a trial of Ray Tune, on one core where there is no GPU. What is known from before is not trained
    again: the same command goes on where it was stopped.

    With --recipe or --recipes, several recipes are compared on the same cells, and the cheapest is named that is not shown
    to rank worse than the best. docs/calibration.md says how to read the figures, and has the form of the file.

    With --json, one object: {"name", "space", "folder", "cells", "trainings", "left", "failed", "recipes", "comparison"};
    a recipe has "scores" (a list of figures, one an epoch, for each score), "predictors", "cost" and "cells".

    \b
    Example:
      pcdarts-tune calibrate cifar10_cpu --cells cells.csv.gz --truth test_e600 --data CIFAR --limit 48 --seeds 2
      pcdarts-tune calibrate cifar10_cpu --cells cells.csv --data CIFAR --recipe now: --recipe long:evaluation.epochs=10
    """
    from pcdarts_tune.calibration.cells import read_cells, sample
    from pcdarts_tune.calibration.promoted import promoted_cells
    from pcdarts_tune.calibration.recipes import read_recipes
    from pcdarts_tune.calibration.result import summarize
    from pcdarts_tune.calibration.run import load_all_images, run_calibration
    from pcdarts_tune.calibration.track import track_calibration
    from pcdarts_tune.calibration.work import Calibration
    from pcdarts_tune.cli.calibrations import print_calibration
    from pcdarts_tune.files import user_path
    from pcdarts_tune.places import check_address
    from pcdarts_tune.sweeps.launch import check_before
    from pcdarts_tune.tracking.store import MlflowStore

    compared = read_recipes(space, settings, file=recipes, given=given)
    known = None if cells is None else read_cells(user_path(cells), truth, limit)
    kept = None if storage is None else check_address(storage)
    check_before(where.home, run, MlflowStore.of(where), compared[0].space.name, storage=kept)
    images = load_all_images(compared, data, where.home)
    if known is None:
        known = sample(promoted_cells(where.home, next(iter(images.values())).name), limit)
    calibration = Calibration.plan(
        where,
        name or default_name(compared[0].space.name, cells),
        known,
        compared,
        images,
        seeds=seeds,
        seed=seed,
        execution=execution,
        storage=kept,
    )
    reason = run_calibration(calibration, run)
    result = summarize(calibration)
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    else:
        print_calibration(result)
    if output is not None and result.recipes:
        from pcdarts_tune.reporting.calibration import write_calibration

        write_calibration(result, output)
        say(f"wrote {output}")
    if reason != "done":
        say(f"stopped ({reason}); the same command goes on")
    elif result.recipes:
        track_calibration(result)
        say(f"to see it in MLflow: pcdarts-tune ui{where.home_flag}")
    return 130 if reason == "interrupted" else 0 if result.recipes else 1


def default_name(space: str, cells: Path | None) -> str:
    """`cifar10_cpu-darts_cells`: the space's name and the file's, without its suffixes."""
    stem = "promotions" if cells is None else re.sub(r"(\.(csv|json|gz))+$", "", cells.name)
    return f"{space}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', stem)}"[:100]
