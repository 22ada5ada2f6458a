"""`pcdarts-tune rollback`: the alias `champion` back to the version that had it before."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("rollback")
@click.argument("model", shell_complete=completing.models)
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Give it to this version instead.")
@options.store
@options.output
def command(model: str, to: int | None, where: Where, as_json: bool) -> None:
    """Give the alias `champion` of MODEL back to the version that was champion before. Called again it goes back one
    more; `model/version` and `model@alias` name the version to take. Who was champion, since when and why is kept with the
    registered model; no version is deleted.

    With --json, one object: {"model", "version", "before", "why", "history"}.

    \b
    Example:
      pcdarts-tune rollback first
      pcdarts-tune rollback first --to 2
    """
    from pcdarts_tune.tracking.champions import champion_history, roll_back
    from pcdarts_tune.tracking.reach import require_answer
    from pcdarts_tune.tracking.registry import ModelName, find_version, store_uri
    from pcdarts_tune.tracking.store import MlflowStore

    uri = store_uri(where)
    require_answer(uri)
    client = MlflowStore(uri).client
    wanted = ModelName.parse(model)
    if model != wanted.name:
        if to is not None:
            raise click.UsageError(f"{model} and --to both name a version; give one of them")
        model, to = wanted.name, find_version(client, wanted)
    version, before, why = roll_back(client, model, to)
    entries = champion_history(client, model)
    if as_json:
        answer = {"model": model, "version": version, "before": before, "why": why}
        click.echo(json.dumps({**answer, "history": [asdict(entry) for entry in entries]}))
        return
    again = " again" if any(entry.version == version for entry in entries[:-1]) else ""
    click.echo(f"{model} version {version} is champion{again}, in place of version {before}")
    say(f"to see it: pcdarts-tune show {model}/{version}{where.home_flag}")
