"""`pcdarts-tune rollback`: the alias `champion` back to the version that had it before."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pcdarts_tune.cli.completing import models
from pcdarts_tune.cli.options import home_option, json_option, tracking_uri_option, verbosity_options
from pcdarts_tune.home import home_flag
from pcdarts_tune.say import say


@click.command("rollback", short_help="Give the alias `champion` back to the version before.")
@click.argument("model", shell_complete=models)
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Give it to this version instead.")
@home_option
@tracking_uri_option
@json_option
@verbosity_options
def command(model: str, to: int | None, home: Path, tracking_uri: str | None, as_json: bool) -> None:
    """Give the alias `champion` of MODEL back to the version that was champion before. Called again it goes back one
    more. Who was champion, since when and why is kept with the registered model; no version is deleted.

    With --json, one object: {"model", "version", "before", "why", "history"}.

    \b
    Example:
      pcdarts-tune rollback first
      pcdarts-tune rollback first --to 2
    """
    from pcdarts_tune.tracking.champions import history, roll_back
    from pcdarts_tune.tracking.registry import store_uri
    from pcdarts_tune.tracking.store import MlflowStore, require_answer

    uri = store_uri(home, tracking_uri)
    require_answer(uri)
    client = MlflowStore(uri).client
    version, before, why = roll_back(client, model, to)
    reigns = history(client, model)
    if as_json:
        answer = {"model": model, "version": version, "before": before, "why": why}
        click.echo(json.dumps({**answer, "history": [asdict(reign) for reign in reigns]}))
        return
    again = " again" if any(reign.version == version for reign in reigns[:-1]) else ""
    click.echo(f"{model} version {version} is champion{again}, in place of version {before}")
    say(f"to see it: pcdarts-tune show {model}/{version}{home_flag(home)}")
