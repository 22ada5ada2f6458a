"""`pcdarts-tune spaces`: the search spaces there are, and what one resolves to."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space


@click.command("spaces")
@click.argument("name", required=False, metavar="[NAME|FILE]", shell_complete=completing.spaces)
@options.settings
@click.option("--schema", is_flag=True, help="Print the JSON Schema of spaces, for editors.")
@options.home
@options.output
def command(name: str | None, settings: tuple[str, ...], schema: bool, where: Where, as_json: bool) -> None:
    """List the search spaces with what is tuned in each; with NAME or a YAML FILE, print that space as YAML with every
    value filled in, and with what --set and PCDARTS_TUNE_SET change, as every other command reads it. A file with mistakes is
    refused with all of them. The first line that it prints leads editors that know YAML's language server to the JSON Schema
    of spaces, so that they complete keys and mark mistakes.

    \b
    Example: copy a space, change it, check it, use it.
      pcdarts-tune spaces quickstart > mine.yaml
      pcdarts-tune spaces mine.yaml --set search.epochs=30
      pcdarts-tune sweep --space mine.yaml --trials 8
    """
    from pcdarts_tune.spaces.load import list_spaces, read_space
    from pcdarts_tune.spaces.naming import to_yaml
    from pcdarts_tune.spaces.schema import editor_line, space_schema

    if schema:
        if name is not None or settings:
            raise click.UsageError("--schema is that of all spaces: pcdarts-tune spaces --schema")
        click.echo(json.dumps(space_schema(), indent=2))
        return
    if name is not None:
        space = read_space(name, settings)
        if as_json:
            click.echo(json.dumps(space.model_dump(mode="json"), indent=2))
        else:
            click.echo(f"{editor_line()}\n{to_yaml(space, sys.stdout.encoding or 'utf-8')}")
        return
    if settings:
        raise click.UsageError("--set changes one space: pcdarts-tune spaces NAME --set KEY=VALUE")
    spaces = list_spaces()
    if as_json:
        click.echo(json.dumps([_summary(space) for space in spaces], indent=2))
        return
    width = max((len(space.name) for space in spaces), default=0)
    for space in spaces:
        click.echo(f"{space.name:<{width}}  {space.description}")
        click.echo(f"{'':<{width}}  tuned: {', '.join(space.tune) or 'nothing'}")


def _summary(space: Space) -> dict[str, Any]:
    values = space.model_dump(mode="json")
    return {key: values[key] for key in ("name", "description", "data", "tune")}
