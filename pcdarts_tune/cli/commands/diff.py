"""`pcdarts-tune diff`: two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("diff")
@click.argument("run_a", metavar="RUN", shell_complete=completing.runs)
@click.argument("run_b", metavar="RUN", shell_complete=completing.runs)
@options.output_file("Draw both genotypes in one picture: .svg or .png.")
@options.store
@options.output
def command(run_a: str, run_b: str, output: Path | None, where: Where, as_json: bool) -> None:
    """Compare two runs: settings that differ, numbers, and cells.

    RUN is an MLflow run id or its first digits, SWEEP:TRIAL, sweep:SWEEP, a model's name (its champion), model@alias,
    model/version, a sweep's name where no model is called so, or a genotype: a JSON file, a model's folder or a published
    name. A difference of numbers is B minus A; whether it means anything takes
    several seeds (`promote --seeds`).

    With --json, one object: {"a", "b", "settings", "results", "genotype", "about"}, each with what differs.

    \b
    Example:
      pcdarts-tune diff first:0 first:3
      pcdarts-tune diff first@champion PC_DARTS_cifar -o cells.svg
    """
    from pcdarts_tune.cli.show import draw_difference, print_differences
    from pcdarts_tune.lineage.describe import describe, differences
    from pcdarts_tune.sweeps.find import Finder

    finder = Finder(where)
    a, b = describe(finder.find(run_a)), describe(finder.find(run_b))
    found = differences(a, b)
    if output is not None:
        draw_difference(a, b, output)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        print_differences(found)
    if output is not None:
        say(f"wrote {output}")
