"""`pcdarts-tune tag`: a person's tags on a run."""

from __future__ import annotations

import json

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.errors import visible
from pcdarts_tune.home import Where


@click.command("tag")
@click.argument("run", shell_complete=completing.runs)
@click.argument("tags", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--remove", metavar="KEY", multiple=True, help="Take a tag away; may be given again.")
@options.store
@options.output
def command(run: str, tags: tuple[str, ...], remove: tuple[str, ...], where: Where, as_json: bool) -> None:
    """Set tags on RUN, in place of those of the same keys; without KEY=VALUE and --remove, list them. `show` prints them, and
    MLflow can filter by them (tags.KEY = 'VALUE').

    RUN is a trial (SWEEP:TRIAL), sweep:SWEEP, an MLflow run id or its first digits, MODEL/VERSION or MODEL@alias.

    With --json, one object: all tags of the run that are not the program's own.

    \b
    Example:
      pcdarts-tune tag first:3 paper="figure 2" checked=yes
      pcdarts-tune tag first:3 --remove checked
    """
    from pcdarts_tune.keeping.marks import write_tags
    from pcdarts_tune.sweeps.find import Finder

    given = {}
    for text in tags:
        key, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is no KEY=VALUE.", param_hint="KEY=VALUE")
        given[key.strip()] = value
    have = write_tags(Finder(where).find(run), given, remove)
    if as_json:
        click.echo(json.dumps(have))
        return
    for key, value in have.items():
        click.echo(visible(f"{key}={value}"))
