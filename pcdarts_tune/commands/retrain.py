"""`pcdarts-tune retrain`: train a genotype from scratch."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.execution import DEFAULTS
from pcdarts_tune.terminal.completing import genotypes
from pcdarts_tune.terminal.execution_options import Given, execution_options
from pcdarts_tune.terminal.options import (
    choose_device,
    data_option,
    device_option,
    home_option,
    json_option,
    say,
    seed_option,
    set_option,
    space_option,
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
@click.option("--track/--no-track", default=True, show_default=True, help="Record the training in MLflow.")
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
    track: bool,
    device: str,
    given: Given,
    home: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Train GENOTYPE with the retraining recipe of a space, evaluate it once on the test split, and write the model.

    GENOTYPE is a JSON file, a published name such as PC_DARTS_cifar, or an MLflow run id.

    \b
    Example:
      pcdarts-tune retrain PC_DARTS_cifar --space quickstart -o my-model
      pcdarts-tune predict my-model digit.png
    """
    from pcdarts_tune.home import artifact_root, default_tracking_uri
    from pcdarts_tune.recording.epoch_run import Tracked
    from pcdarts_tune.retraining import Retraining, retrain
    from pcdarts_tune.sources import load_images, read_genotype, read_space
    from pcdarts_tune.tracking import MlflowStore, check_uri

    resolved = read_space(space, settings)
    source = read_genotype(genotype, home=home, tracking_uri=tracking_uri)
    where = choose_device(device)
    images = load_images(resolved, data, home, quiet=verbosity() < 0)
    seed = resolved.seed if seed is None else seed
    work = Retraining(resolved, source.genotype, images, seed, given.over(DEFAULTS))
    tracked = None
    if track:
        uri = check_uri(tracking_uri) if tracking_uri else default_tracking_uri(home)
        home.mkdir(parents=True, exist_ok=True)
        tags = {"pcdarts.genotype_origin": source.origin}
        if source.run_id is not None:
            tags["pcdarts.trial_run"] = source.run_id
        name = f"{source.origin} retraining"
        tracked = Tracked(MlflowStore(uri, artifact_root(home)), resolved.name, name, tags)
    done = retrain(
        work,
        output.absolute(),
        device=where,
        tracked=tracked,
        origin={"genotype": source.origin},
        quiet=verbosity() < 0,
    )
    if tracked is not None and source.run_id is not None and done.run_id is not None:
        tracked.store.set_tags(source.run_id, {"pcdarts.retraining_run": done.run_id})
    if as_json:
        click.echo(json.dumps({**done.to_dict(), "folder": str(output)}))
        return
    held_out = "" if done.validation_accuracy is None else f" (held-out {done.validation_accuracy:.4f})"
    click.echo(f"{output}: test accuracy {done.test_accuracy:.4f}{held_out}")
    say(f"next: pcdarts-tune predict {output} IMAGE...")
