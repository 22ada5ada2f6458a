"""`pcdarts-tune retrain`: train a genotype from scratch."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.execution import DEFAULTS
from pcdarts_tune.terminal.completing import genotypes
from pcdarts_tune.terminal.execution_options import Given, execution_options
from pcdarts_tune.terminal.options import (
    address_option,
    choose_device,
    data_option,
    device_option,
    home_option,
    json_option,
    say,
    seed_option,
    set_option,
    space_option,
    track_option,
    tracking_uri_option,
    verbosity,
    verbosity_options,
)


@click.command("retrain", short_help="Train a genotype from scratch.")
@click.argument("genotype", shell_complete=genotypes)
@space_option("cifar10")
@data_option
@set_option
@seed_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the model. An interrupted training goes on from FOLDER.checkpoint.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train by N processes of Ray Train, with a GPU each where there are some; a batch is divided among them.",
)
@click.option(
    "--groups",
    type=click.IntRange(min=1),
    metavar="G",
    help="Parts of a batch with BatchNorm statistics of their own: what G workers compute, with fewer of them or in this "
    "process.  [default: --workers]",
)
@address_option
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="M",
    help="Train M times, with seeds that count up from --seed, into FOLDER/seed-0 and so on.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="default|random[:N]|GENOTYPE",
    help="Train this too, with the same recipe and seeds: the genotype that a search with the space's own values finds, N "
    "genotypes drawn at random, or one that is named; may be given again.",
)
@track_option
@device_option
@execution_options()
@home_option
@tracking_uri_option
@json_option
@verbosity_options
def command(
    genotype: str,
    space: str,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    output: Path,
    workers: int | None,
    groups: int | None,
    address: str | None,
    seeds: int,
    baselines: tuple[str, ...],
    track: bool,
    device: str,
    given: Given,
    home: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Train GENOTYPE with the retraining recipe of a space, evaluate it once on the test split, and write the model.

    GENOTYPE is a JSON file, a published name such as PC_DARTS_cifar, or an MLflow run id.

    With --workers, Ray Train's processes share every batch (retrain.batch_size is all of it); a worker that is lost is
    replaced, and all go on from the checkpoint. The result is that of one process with --groups N, up to rounding.

    With --seeds or --baseline, FOLDER holds a model for each seed and comparison.json. Mean, standard deviation and a 95 % t
    interval of test and held-out accuracy are reported; with baselines, who can be told apart on held-out images (on the
    test split where nothing is held out).

    With --json, one object: {"folder", "test_accuracy", "test_loss", "validation_accuracy", "epochs", "seconds", "run_id",
    "weights"}; of several seeds {"folder", "genotype", "genotype_hash", "seeds", "test", "held_out", "diverged", "runs",
    "comparison", "verdicts"}, where "test" and "held_out" have mean, std, interval, n and values.

    \b
    Example:
      pcdarts-tune retrain PC_DARTS_cifar --space quickstart -o my-model
      pcdarts-tune predict my-model digit.png
      pcdarts-tune retrain PC_DARTS_cifar --workers 8 -o large
      pcdarts-tune retrain genotype.json --seeds 3 --baseline random:2 -o compared
    """
    from pcdarts_tune.distributed.division import check_division
    from pcdarts_tune.promoting.several import SeveralSeeds, baselines_of, compare, named_baselines
    from pcdarts_tune.recording.epoch_run import Tracked
    from pcdarts_tune.retraining import Retraining, retrain
    from pcdarts_tune.sources import load_images, read_genotype, read_space
    from pcdarts_tune.terminal.comparison import accuracies, print_seeds

    resolved = read_space(space, settings)
    parts = groups or workers or 1
    check_division(resolved.retrain.batch_size, parts, workers or 1)
    source = read_genotype(genotype, home=home, tracking_uri=tracking_uri)
    others = named_baselines(baselines, home, tracking_uri)
    where = choose_device(device)
    images = load_images(resolved, data, home, quiet=verbosity() < 0)
    seed = resolved.seed if seed is None else seed
    execution, by = given.over(DEFAULTS), None
    if workers is not None or address is not None:
        from pcdarts_tune.distributed.fitting import Workers

        by = Workers(workers or 1, address, None if device == "auto" else device == "cuda")
    tracked = None
    if track:
        tags = {"pcdarts.genotype_origin": source.origin}
        if source.run_id is not None:
            tags["pcdarts.trial_run"] = source.run_id
        name = f"{source.origin} retraining"
        tracked = Tracked.at(home, tracking_uri, resolved.name, name, tags)
    if seeds > 1 or baselines:
        wanted = SeveralSeeds(
            output.absolute(),
            resolved,
            images,
            tuple(range(seed, seed + seeds)),
            where,
            tracked,
            verbosity() < 0,
            execution,
            parts,
            by,
        )
        compared = compare(wanted, source, baselines_of(wanted, baselines, others, seed))
        if as_json:
            click.echo(json.dumps({"folder": str(output), **compared.to_dict()}))
        else:
            print_seeds(compared, output)
        return
    work = Retraining(resolved, source.genotype, images, seed, execution, groups=parts)
    done = retrain(
        work,
        output.absolute(),
        device=where,
        tracked=tracked,
        origin={"genotype": source.origin},
        quiet=verbosity() < 0,
        workers=by,
    )
    if tracked is not None and source.run_id is not None and done.run_id is not None:
        tracked.store.set_tags(source.run_id, {"pcdarts.retraining_run": done.run_id})
    if as_json:
        click.echo(json.dumps({**done.to_dict(), "folder": str(output)}))
        return
    click.echo(f"{output}: {accuracies(done)}")
    say(f"next: pcdarts-tune predict {output} IMAGE...")
