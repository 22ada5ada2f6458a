"""`pcdarts-tune retrain`: train a genotype from scratch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pcdarts_tune import plugins
from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, worker_options
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.machine import choose_device
from pcdarts_tune.say import verbosity
from pcdarts_tune.tasks import Execution, Workers
from pcdarts_tune.tracking.tags import Tag


@click.command("retrain")
@click.argument("genotype", shell_complete=completing.runs)
@options.space("cifar10", "that of the sweep, trial, run or model that GENOTYPE names")
@options.data
@options.settings
@options.seed
@options.output_folder("Folder for the model. An interrupted training goes on from FOLDER.checkpoint.")
@worker_options
@options.count(
    "--seeds",
    1,
    "Train M times, with seeds that count up from --seed, into FOLDER/seed-0 and so on.",
    metavar="M",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="default|random[:N]|GENOTYPE",
    help="Train this too, with the same recipe and seeds: the genotype that a search with the space's own values finds, N "
    "genotypes drawn at random, or one that is named; may be given again.",
)
@options.register
@options.track
@execution_options()
@options.store
@options.output
def command(
    genotype: str,
    space: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    output: Path,
    workers: Workers,
    seeds: int,
    baselines: tuple[str, ...],
    register: str | None,
    track: bool,
    execution: Execution,
    where: Where,
    as_json: bool,
) -> None:
    """Train GENOTYPE with the retraining recipe of a space, evaluate it once on the test split, and write the model.

    GENOTYPE is a JSON file, a published name such as PC_DARTS_cifar, a text such as Genotype(normal=[...], ...) or a file
    with one, the string of a NAS-Bench-201 cell, SWEEP:TRIAL, a model (its name, model@alias, model/version, or its
    folder), a sweep (its best trial), or an MLflow run id or its first digits. What was made with a space is trained with
    it, on the images that it was made with, unless --space or --data says otherwise.

    With --workers, Ray Train's processes share every batch (retrain.batch_size is all of it); a worker that is lost is
    replaced, and all go on from the checkpoint. The result is that of one process with --groups N, up to rounding.

    With --seeds or --baseline, FOLDER holds a model for each seed and comparison.json. Mean, standard deviation and a 95 % t
    interval of test and held-out accuracy are reported; with baselines, who can be told apart on held-out images (on the
    test split where nothing is held out).

    With --json, one object: {"folder", "test_accuracy", "test_loss", "validation_accuracy", "epochs", "seconds", "run_id",
    "weights"}, with --register "model", "version" and "champion" too; of several seeds {"folder", "genotype",
    "genotype_hash", "seeds", "test", "held_out", "diverged", "runs", "comparison", "verdicts"}, where "test" and "held_out"
    have mean, std, interval, n and values.

    \b
    Example:
      pcdarts-tune retrain PC_DARTS_cifar --space quickstart -o my-model
      pcdarts-tune predict my-model digit.png
      pcdarts-tune retrain PC_DARTS_cifar --workers 8 -o trained --register large
      pcdarts-tune retrain first:3 --seeds 3 --baseline random:2 -o compared
    """
    from pcdarts_tune.cli.inheriting import retraining_space
    from pcdarts_tune.cli.results import finish_training, print_seeds
    from pcdarts_tune.datasets.load import load_images
    from pcdarts_tune.promotion.seeds import FolderPlaces, compare_seeds, read_baselines
    from pcdarts_tune.promotion.trainings import Trainings
    from pcdarts_tune.sweeps.find import Finder
    from pcdarts_tune.tracking.run import Tracked
    from pcdarts_tune.training.retraining import retrain
    from pcdarts_tune.training.work import Retraining

    if register is not None and (seeds > 1 or baselines):
        raise click.UsageError("--register takes one training; `promote` chooses among several and registers")
    options.require_tracking(register, track)
    found = Finder(where).find(genotype, "genotype")
    source = found.genotype()
    resolved, data = retraining_space(space, found, data, settings)
    workers.check(resolved.retrain.batch_size)
    wanted = read_baselines(baselines, where)
    torch_device, quiet = choose_device(workers.device), verbosity() < 0
    plugins.keep(plugin_store(where.home))
    images = load_images(resolved, data, where.home, ("retrain",), quiet=quiet)
    seed = resolved.seed if seed is None else seed
    tracked = None
    if track:
        tags = {Tag.GENOTYPE_ORIGIN: source.origin}
        if source.run_id is not None:
            tags[Tag.TRIAL_RUN] = source.run_id
        tracked = Tracked.at(where, resolved.name, f"{source.origin} retraining", tags)
    if seeds > 1 or baselines:
        places, numbers = FolderPlaces(output.absolute(), tracked), tuple(range(seed, seed + seeds))
        how: dict[str, Any] = {"execution": execution, "workers": workers, "quiet": quiet}
        trainings = Trainings(resolved, images, numbers, torch_device, places, **how)
        compared = compare_seeds(trainings, places, source, *wanted)
        if as_json:
            click.echo(json.dumps({"folder": str(output), **compared.to_dict()}))
        else:
            print_seeds(compared, output)
        return
    work = Retraining(resolved, source.genotype, images, seed, execution, groups=workers.parts)
    done = retrain(
        work,
        output.absolute(),
        device=torch_device,
        tracked=tracked,
        origin={"genotype": source.origin},
        quiet=quiet,
        workers=workers,
    )
    if tracked is not None and done.run_id is not None:
        tracked.store.tag_related(source.run_id, {Tag.RETRAINING_RUN: done.run_id})
    finish_training(work, done, output, where=where, register=register, tracked=tracked, as_json=as_json)
