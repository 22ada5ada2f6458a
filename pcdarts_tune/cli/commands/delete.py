"""`pcdarts-tune delete`: sweeps and versions of models, gone for good."""

from __future__ import annotations

import json
from typing import Any

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.asking import confirm
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=completing.runs)
@options.yes
@click.option("--champion", is_flag=True, help="Delete a version also where it is the champion.")
@click.option("--keep-runs", is_flag=True, help="Of a sweep: leave what MLflow has of it.")
@options.sweep_store
@options.output
def command(
    names: tuple[str, ...], yes: bool, champion: bool, keep_runs: bool, where: Where, as_json: bool
) -> None:
    """Delete sweeps and versions of registered models: NAME is a sweep, MODEL/VERSION or MODEL@alias. First it says what
    goes and how many bytes; then it asks, or without a terminal wants --yes.

    Of a sweep go its folder, its study, its files in --storage, and its runs in MLflow with their files. What others need
    stays: the runs that a registered model was made of, and the folder of a model that another was fine-tuned from. A
    sweep that runs is refused, and so is a champion without --champion.

    A deletion that was interrupted is finished by the next `delete` of that name.

    With --json, one object: {"deleted": [{"name", "kind", "bytes", "removes": [{"what", "count", "bytes"}], "stays",
    "notes"}], "finished": names of interrupted deletions that were finished}.

    \b
    Example:
      pcdarts-tune delete first
      pcdarts-tune delete first drawn flowers/2 --yes
    """
    from pcdarts_tune.keeping.deleting import Choices, delete, find_deletions, interrupted

    left = interrupted(where, names)
    if left:
        for each in left:
            say(f"finishing the deletion of {each.entry.name}, which was interrupted")
        delete(where, left)
    finished = [each.entry.name for each in left]
    rest = [name for name in names if name.removeprefix("sweep:").removeprefix("models:/") not in finished]
    deletions = find_deletions(where, rest, Choices(champion, keep_runs))
    plans = [(each.entry, each.said) for each in deletions]
    if deletions:
        lines = [line for _, plan in plans for line in plan.lines()]
        confirm(lines, yes=yes, question="Delete this?", as_json=as_json)
        delete(where, deletions)
    if as_json:
        shown: list[dict[str, Any]] = [
            {"name": entry.name, "kind": entry.kind, **plan.to_dict()} for entry, plan in plans
        ]
        click.echo(json.dumps({"deleted": shown, "finished": finished}))
        return
    for name in (*finished, *(entry.name for entry, _ in plans)):
        click.echo(f"{name} is deleted")
