"""`pcdarts-tune promote`: retrain a sweep's best genotype and register the model."""

from __future__ import annotations

import json
from typing import Any

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, worker_options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say, verbosity


@click.command("promote")
@click.argument("sweep", shell_complete=completing.sweeps)
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Promote this trial, not the best.")
@click.option(
    "--run", "run_id", metavar="ID", help="Promote the trial with this MLflow run id, or its first digits."
)
@options.count("--candidates", 1, "Let the N best distinct genotypes of the sweep compete.", metavar="N")
@options.count(
    "--seeds", 1, "Train each genotype M times, with seeds that count up from --seed.", metavar="M"
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="default|random[:N]",
    help="Train this too, with the same recipe: the genotype of the space's default hyperparameters, or N genotypes "
    "drawn at random; may be given again.",
)
@click.option(
    "--test-all",
    is_flag=True,
    help="After the choice, read the test split for all seeds of the chosen genotype and of the baselines.",
)
@options.model
@click.option(
    "--force",
    is_flag=True,
    help="Give the model the alias `champion` even if the present one is better; take changed images.",
)
@options.data
@options.settings
@options.seed
@worker_options
@execution_options("the sweep's", dict)
@options.sweep_store
@options.output
def command(sweep: str, baselines: tuple[str, ...], where: Where, as_json: bool, **wanted: Any) -> None:
    """Retrain the best genotype of SWEEP with the space's retraining recipe, evaluate it once on the test split, log
    the model to MLflow, register it, and give it the alias `champion` unless the present champion is better on
    held-out images. An interrupted promotion goes on where it stopped when it is run again.

    A single training says little: seeds alone move CIFAR-10 accuracies by tenths of a point. With --candidates, --seeds
    and --baseline, all genotypes are trained with the same recipe, one training after another; the candidate with the
    highest mean accuracy on held-out images is chosen, its seed with the highest is the model, and only that model sees
    the test split. Mean, standard deviation and a 95 % t interval over the seeds are reported, and whom the chosen
    genotype cannot be told apart from. Baselines are compared, never registered. `default` is the genotype of the trial
    that ran with the space's own values, or of one search with them; `random` draws two different predecessors for each
    node and an operation for each edge, all alike likely.

    From two cells on that promotions of the sweep have trained in full with this recipe, it says how well their scores in the
    sweep rank them (docs/calibration.md).

    With --workers, Ray Train's processes share every batch of every training, one training after another.

    With --json, one object: {"model", "version", "test_accuracy", "run_id", "champion", "validation_accuracy", "trial",
    "seed", "genotype_hash", "promotion_run", "comparison", "verdicts", "agreement"}.

    \b
    Example:
      pcdarts-tune promote first
      pcdarts-tune promote first --trial 3 --set retrain.epochs=100
      pcdarts-tune promote first --candidates 3 --seeds 3 --baseline default --baseline random:2
      pcdarts-tune promote first --workers 8
      pcdarts-tune predict first@champion cat.png
    """
    from pcdarts_tune.api.promoting import check_selection, promote_sweep
    from pcdarts_tune.cli.results import accuracies, print_comparison

    with options.wrong_usage():
        check_selection(wanted["trial"], wanted["run_id"], wanted["candidates"])
    try:
        # the other options are called like the arguments of `promote`
        promoted = promote_sweep(where, sweep, baselines=baselines, quiet=verbosity() < 0, **wanted)
    except KeyboardInterrupt:
        again = f"pcdarts-tune promote {sweep}{where.home_flag}, with the same options"
        say(f"to go on where it stopped: {again}")
        raise
    registered = promoted.registered
    if not registered.champion:
        say(f"{registered.model} keeps its champion: {registered.why}. --force moves the alias all the same.")
    if as_json:
        click.echo(json.dumps(promoted.to_dict()))
        return
    if promoted.promotion_run is not None:
        print_comparison(promoted.results, promoted.chosen.name)
        chosen, seed = promoted.chosen.name, promoted.training.seed
        click.echo(f"chosen on held-out images: {chosen}, and of its models that of seed {seed}")
        for verdict in promoted.verdicts:
            click.echo(verdict)
    if promoted.agreement is not None:
        click.echo(str(promoted.agreement))
    alias = ", champion" if registered.champion else ""
    click.echo(f"{registered.model} version {registered.version}{alias}: {accuracies(promoted.done)}")
    click.echo(f"MLflow run {promoted.done.run_id}")
    name = f"{registered.model}@champion" if registered.champion else registered.reference
    say(f"next: pcdarts-tune predict {name} IMAGE...{where.home_flag}")
    say(f"where it comes from: pcdarts-tune show {name}{where.home_flag}")
