"""`pcdarts-tune list`: the sweeps and the registered models of a home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import options
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.say import format_bytes, print_table, say

if TYPE_CHECKING:
    from pcdarts_tune.keeping.listing import ModelEntry, SweepEntry


@click.command("list")
@options.store
@options.output
def command(where: Where, as_json: bool) -> None:
    """List the sweeps of the home, oldest first: space, data, state, trials that have ended, best score, size of the
    sweep's folder and day; then the registered models with their versions and aliases.

    A sweep is running, done, unfinished (`resume` goes on with it), or damaged, with the reason.

    With --json, one object: {"home", "sweeps": [{"name", "state", "bytes", "space", "method", "data", "objective", "trials",
    "states", "best", "best_trial", "storage", "created", "reason"}], "models": [{"reference", "model", "version", "aliases",
    "test_accuracy", "held_out_accuracy", "bytes", "run_id", "created"}]}.

    \b
    Example:
      pcdarts-tune list
      pcdarts-tune list --json | python -m json.tool
    """
    from pcdarts_tune.keeping.listing import list_models, list_sweeps

    models: list[ModelEntry]
    sweeps, models = list_sweeps(where), []
    try:
        models = list_models(where)
    except UserError as error:  # the sweeps are there all the same
        say(f"the registered models cannot be listed: {error}", always=True)
    _say_interrupted(where)
    if as_json:
        entries = {
            "sweeps": [each.to_dict() for each in sweeps],
            "models": [each.to_dict() for each in models],
        }
        click.echo(json.dumps({"home": str(where.home), **entries}))
        return
    if sweeps:
        _print_sweeps(sweeps)
    if models:
        if sweeps:
            click.echo()
        _print_models(models)
    for each in sweeps:
        if each.reason is not None:
            say(f"{each.name}: {each.reason}")
    if not sweeps:
        first = f"pcdarts-tune sweep --space quickstart --trials 4{where.home_flag}"
        say(f"no sweep in {where.home} yet; to begin: {first}")
        say("or --home DIR (PCDARTS_TUNE_HOME) where the sweeps are")


def _say_interrupted(where: Where) -> None:
    from pcdarts_tune.keeping.journal import Journal

    try:
        for entry in Journal(where.home).pending():
            finish = f"pcdarts-tune delete {entry.name}{where.home_flag}"
            say(f"the deletion of {entry.name} was interrupted; to finish it: {finish}")
    except UserError as error:
        say(str(error))


def _print_sweeps(sweeps: list[SweepEntry]) -> None:
    columns = ["sweep", "space", "data", "state", "date", "trials", "best", "size"]
    rows = []
    for each in sweeps:
        # a search is what a sweep runs unless it says otherwise
        space = each.space if each.method in ("", "pc-darts") else f"{each.space} ({each.method})"
        trials = f"{each.ended}/{each.trials}" if each.state != "damaged" else ""
        size = format_bytes(each.bytes) + ("" if each.storage is None else " + storage")
        best = "" if each.best is None else f"{each.best:.4f}"
        rows.append([each.name, space, each.data, each.state, each.created[:10], trials, best, size])
    print_table(columns, rows, left=5)


def _print_models(models: list[ModelEntry]) -> None:
    columns = ["model", "aliases", "date", "test accuracy", "held-out accuracy", "size"]
    rows = [
        [
            each.reference,
            ", ".join(each.aliases),
            each.created[:10],
            "" if each.test_accuracy is None else f"{each.test_accuracy:.4f}",
            "" if each.held_out_accuracy is None else f"{each.held_out_accuracy:.4f}",
            "" if each.bytes is None else format_bytes(each.bytes),
        ]
        for each in models
    ]
    print_table(columns, rows, left=3)
