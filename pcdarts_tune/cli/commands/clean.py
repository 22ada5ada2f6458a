"""`pcdarts-tune clean`: what of a home is disposable."""

from __future__ import annotations

import json

import click

from pcdarts_tune.cli import options
from pcdarts_tune.cli.asking import confirm
from pcdarts_tune.home import Where
from pcdarts_tune.say import format_bytes, say


@click.command("clean")
@click.option("--cache", is_flag=True, help="Decoded images, which are made again.")
@click.option("--ray", is_flag=True, help="Ray's own files of sweeps and calibrations.")
@click.option("--checkpoints", is_flag=True, help="Checkpoints of trials that have ended.")
@options.yes
@options.store
@options.output
def command(cache: bool, ray: bool, checkpoints: bool, yes: bool, where: Where, as_json: bool) -> None:
    """Remove what the home does not need: decoded images, Ray's own files, and checkpoints that trials which have ended
    left behind; with options, only these. First it says what goes and how many bytes; then it asks, or without a terminal
    wants --yes.

    What runs keeps all of its files, and decoded images that a process reads stay. Results, studies and models are not
    touched.

    With --json, one object: {"bytes", "removes": [{"what", "count", "bytes"}], "stays", "notes"}.

    \b
    Example:
      pcdarts-tune clean
      pcdarts-tune clean --ray --checkpoints --yes
    """
    from pcdarts_tune.keeping.cleaning import KINDS, Cleaning

    given = {"cache": cache, "ray": ray, "checkpoints": checkpoints}
    cleaning = Cleaning.plan(where, [kind for kind in KINDS if given[kind]] or list(KINDS))
    plan = cleaning.said
    if cleaning.targets:
        confirm(plan.lines(), yes=yes, question="Remove this?", as_json=as_json)
        plan.stays += cleaning.run()
    if as_json:
        click.echo(json.dumps(plan.to_dict()))
        return
    for reason in plan.stays if not cleaning.targets else plan.stays[len(cleaning.stays) :]:
        say(f"stays: {reason}")
    click.echo(f"{format_bytes(plan.bytes)} removed" if cleaning.targets else "there is nothing to remove")
