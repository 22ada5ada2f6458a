"""`pcdarts-tune show`: what a run is, where it comes from, what came of it."""

from __future__ import annotations

import json

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.core.genotype import to_text
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.say import say


@click.command("show")
@click.argument("run", shell_complete=completing.runs)
@options.store
@click.option(
    "--text",
    is_flag=True,
    help="Print the genotype alone, as DARTS repositories do: Genotype(normal=[...], ...).",
)
@options.output
def command(run: str, where: Where, text: bool, as_json: bool) -> None:
    """Show RUN: its result, hyperparameters and genotype; where it comes from (model, retraining, trial, sweep), what
    came of it, and the commands to go on with.

    RUN is an MLflow run id or its first digits, SWEEP:TRIAL, sweep:SWEEP, a model's name (its champion), model@alias,
    model/version, a sweep's name where no model is called so, or a genotype: a JSON file, a text such as
    Genotype(normal=[...], ...) or a file with one, a model's folder or a published name.

    --text prints the genotype's text, which all commands read.

    With --json, one object: {"kind", "name", "reference", "run_id", "state", "reason", "hyperparameters", "results",
    "genotype", "genotype_hash", "about", "settings", "came_from", "became", "next", "note", "tags"}.

    \b
    Example:
      pcdarts-tune show first:3
      pcdarts-tune show first@champion
      pcdarts-tune show first:3 --text > cells.txt
      pcdarts-tune show 4f0c91d2 --json
    """
    from pcdarts_tune.cli.show import print_subject
    from pcdarts_tune.lineage.describe import describe
    from pcdarts_tune.sweeps.find import Finder

    if text and as_json:
        raise click.UsageError("--text and --json are two forms; choose one")
    if text:
        from pcdarts_tune.sweeps.find import find_genotype

        try:
            click.echo(to_text(find_genotype(run, where).genotype))
        except ValueError as error:
            raise UserError(str(error), hint="--json has the genotype as JSON") from None
        return
    subject = describe(Finder(where).find(run))
    if as_json:
        click.echo(json.dumps(subject.to_dict()))
        return
    print_subject(subject, where.home_flag)
    if subject.kind == "model" and run in sweep_names(where.home):
        say(f"there is a sweep of that name too: pcdarts-tune show sweep:{run}{where.home_flag}")
