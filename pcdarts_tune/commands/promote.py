"""`pcdarts-tune promote`: retrain a sweep's best genotype and register the model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.terminal.options import (
    choose_device,
    data_option,
    device_option,
    home_flag,
    home_option,
    json_option,
    say,
    seed_option,
    set_option,
    tracking_uri_option,
    verbosity,
    verbosity_options,
)


@click.command("promote", short_help="Retrain the best genotype, test it once, register the model.")
@click.argument("sweep")
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Promote this trial, not the best.")
@click.option("--run", "run_id", metavar="ID", help="Promote the trial with this MLflow run id.")
@click.option("--model", metavar="NAME", help="Name to register the model under.  [default: the sweep's]")
@click.option(
    "--force",
    is_flag=True,
    help="Give the model the alias `champion` even if the present one is better; take changed images.",
)
@data_option
@set_option
@seed_option
@device_option
@home_option
@tracking_uri_option
@json_option
@verbosity_options
def command(
    sweep: str,
    trial: int | None,
    run_id: str | None,
    model: str | None,
    force: bool,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    device: str,
    home: Path,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Retrain the best genotype of SWEEP with the space's retraining recipe, evaluate it once on the test split, log
    the model to MLflow, register it, and give it the alias `champion` unless the present champion is better on
    held-out images. An interrupted promotion goes on where it stopped when it is run again.

    \b
    Example:
      pcdarts-tune promote first
      pcdarts-tune promote first --trial 3 --set retrain.epochs=100
      pcdarts-tune predict first@champion cat.png
    """
    if trial is not None and run_id is not None:
        raise click.UsageError("--trial and --run both name a trial; give one of them")
    if model is not None and (not model.strip() or any(sign in model for sign in "/:@")):
        raise click.BadParameter(f"{model!r}: a model's name has none of / : @", param_hint="'--model'")
    from pcdarts_tune.promotion import Request, promote

    request = Request(home, sweep, trial, run_id, model, data, seed, settings, tracking_uri, force)
    try:
        promoted = promote(request, device=choose_device(device), quiet=verbosity() < 0)
    except KeyboardInterrupt:
        say(
            f"to go on where it stopped: pcdarts-tune promote {sweep}{home_flag(home)}, with the same options"
        )
        raise
    if not promoted.champion:
        say(f"{promoted.model} keeps its champion: {promoted.why}. --force moves the alias all the same.")
    if as_json:
        click.echo(json.dumps(promoted.to_dict()))
        return
    alias = ", champion" if promoted.champion else ""
    held_out = promoted.validation_accuracy
    compared = "" if held_out is None else f" (held-out {held_out:.4f})"
    click.echo(
        f"{promoted.model} version {promoted.version}{alias}: test accuracy {promoted.test_accuracy:.4f}{compared}"
    )
    click.echo(f"MLflow run {promoted.run_id}")
    name = f"{promoted.model}@champion" if promoted.champion else f"{promoted.model}/{promoted.version}"
    say(f"next: pcdarts-tune predict {name} IMAGE...{home_flag(home)}")
