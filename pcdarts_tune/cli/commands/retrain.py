"""`pcdarts-tune retrain`: train a genotype from scratch."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, worker_options
from pcdarts_tune.home import Where
from pcdarts_tune.say import verbosity
from pcdarts_tune.tasks import Execution, Workers


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
    from pcdarts_tune.api.retraining import check_registering, retrain_named
    from pcdarts_tune.cli.results import print_seeds, print_training
    from pcdarts_tune.sweeps.find import Finder

    with options.wrong_usage():
        check_registering(register, track, several=seeds > 1 or bool(baselines))
    trained = retrain_named(
        Finder(where).find(genotype, "genotype"),
        where,
        output=output,
        space=space,
        data=data,
        settings=settings,
        seed=seed,
        workers=workers,
        seeds=seeds,
        baselines=baselines,
        register=register,
        track=track,
        execution=execution,
        quiet=verbosity() < 0,
    )
    if trained.done is not None:
        print_training(
            trained.done, output, where, trained.registered, trained.to_dict() if as_json else None
        )
    elif as_json:
        click.echo(json.dumps(trained.to_dict()))
    elif trained.compared is not None:
        print_seeds(trained.compared, output)
