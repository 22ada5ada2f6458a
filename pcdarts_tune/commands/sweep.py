"""`pcdarts-tune sweep`: search with many hyperparameters."""

from __future__ import annotations

from pathlib import Path

import click

from pcdarts_tune.sweeping.sweep_options import NAMES_OF_SAMPLERS, RunOptions, run_options
from pcdarts_tune.terminal.options import (
    data_option,
    home_option,
    json_option,
    seed_option,
    set_option,
    space_option,
    tracking_uri_option,
    verbosity_options,
)


@click.command(
    "sweep", short_help="Search with many hyperparameters: Ray Tune runs the trials, Optuna proposes."
)
@click.option("--trials", type=click.IntRange(min=1), default=32, show_default=True, help="How many trials.")
@space_option("cifar10")
@click.option("--name", help="The sweep's name.  [default: the space's name and a number]")
@data_option
@set_option
@seed_option
@click.option(
    "--sampler",
    type=click.Choice(NAMES_OF_SAMPLERS),
    default="tpe",
    show_default=True,
    help="How Optuna proposes hyperparameters.",
)
@run_options
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Start a trial whose process was lost again, from its checkpoint, so often.",
)
@home_option
@click.option(
    "--storage",
    metavar="DIR",
    help="Folder for checkpoints that all nodes of a cluster reach.  [default: the sweep's folder in --home]",
)
@tracking_uri_option
@click.option("--plan", is_flag=True, help="Say what would be run, and write nothing.")
@json_option
@verbosity_options
def command(
    trials: int,
    space: str,
    name: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    sampler: str,
    run: RunOptions,
    max_failures: int,
    home: Path,
    storage: str | None,
    tracking_uri: str | None,
    plan: bool,
    as_json: bool,
) -> int:
    """Search with many hyperparameters. Each trial searches, derives a genotype and trains the derived network from
    scratch; its accuracy on images that the search never saw is what Optuna maximises.

    By default all cores and GPUs of this machine are used: one GPU a trial, or one core where there is none, and the
    cores that are left over divided among the trials that run at a time. Ctrl-C stops; `resume` goes on.

    \b
    Example:
      pcdarts-tune sweep --space quickstart --trials 4 --name first
      pcdarts-tune sweep --space cifar10 --trials 32 --data cifar --gpus-per-trial 0.25
      pcdarts-tune sweep --space my-space.yaml --data photos --set search.epochs=30 --plan
    """
    from pcdarts_tune.sources import read_space
    from pcdarts_tune.sweep import SweepSettings
    from pcdarts_tune.sweeping import launch
    from pcdarts_tune.sweeping.planning import show_plan
    from pcdarts_tune.sweeping.sweep_create import create_sweep

    resolved = read_space(space, settings)
    wanted = SweepSettings(
        seed=resolved.seed if seed is None else seed,
        sampler=sampler,
        data_root=None if data is None else str(data),
        tracking_uri=tracking_uri,
        storage=launch.storage_folder(storage),
        max_failures=max_failures,
    )
    name = launch.choose_name(home, name, resolved)
    if not plan:
        launch.check_before(home, run.settings(), tracking_uri)
    images = launch.load_images(resolved, data, None if plan else home)
    if plan:
        return show_plan(name, resolved, wanted, images, trials=trials, run=run.settings(), as_json=as_json)
    sweep = create_sweep(home, name, resolved, wanted, trials=trials, data=launch.about_images(images))
    return launch.run_to_the_end(sweep, run.settings(), images, as_json=as_json)
