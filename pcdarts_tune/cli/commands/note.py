"""`pcdarts-tune note`: a person's note on a run."""

from __future__ import annotations

import json

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where


@click.command("note")
@click.argument("run", shell_complete=completing.runs)
@click.argument("text")
@options.store
@options.output
def command(run: str, text: str, where: Where, as_json: bool) -> None:
    """Put a note on RUN, in Markdown, in place of one that it has; an empty TEXT takes it away. `show` prints it, and MLflow
    shows it above the run's description, where it stays when that is written anew.

    RUN is a trial (SWEEP:TRIAL), sweep:SWEEP, an MLflow run id or its first digits, MODEL/VERSION or MODEL@alias.

    With --json, one object: {"on", "note"}.

    \b
    Example:
      pcdarts-tune note first:3 "the learning rate is at the end of its range"
    """
    from pcdarts_tune.keeping.marks import write_note
    from pcdarts_tune.sweeps.find import Finder

    on = write_note(Finder(where).find(run), text.strip())
    if as_json:
        click.echo(json.dumps({"on": on, "note": text.strip()}))
    else:
        click.echo(f"{on} has {'the note' if text.strip() else 'no note'}")
