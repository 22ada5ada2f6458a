"""`pcdarts-tune compare`: several sweeps side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("compare")
@click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True, shell_complete=completing.sweeps)
@options.output_file("The same as one HTML page, as `report` of several sweeps writes it.")
@options.benchmark
@options.home
@options.output
def command(
    sweeps: tuple[str, ...],
    output: Path | None,
    benchmark: Path | None,
    truth: str | None,
    where: Where,
    as_json: bool,
) -> None:
    """Two sweeps or more side by side: the best so far over trials and over hours, as curves and as tables, then all trials
    in one order. Sweeps with other images or another evaluation recipe are refused.

    With --json, what `leaderboard --json` prints of several sweeps, and with -o also "file".

    \b
    Example:
      pcdarts-tune compare tuned random
      pcdarts-tune compare tuned random -o rivals.html
    """
    from pcdarts_tune.api.board import read_comparison
    from pcdarts_tune.cli.comparing import print_comparison
    from pcdarts_tune.sweeps.sweep import open_sweep

    if len(sweeps) < 2:
        raise click.UsageError(
            f"one sweep has nothing to be compared with: pcdarts-tune leaderboard {sweeps[0]}"
        )
    compared, known = read_comparison([open_sweep(where, name) for name in sweeps], benchmark, truth)
    written = {}
    if output is not None:
        from pcdarts_tune.reporting.comparison import write_comparison

        write_comparison(compared, output, known)
        written = {"file": str(output)}
    if as_json:
        click.echo(json.dumps({**written, **compared.to_dict()}))
        return
    print_comparison(compared, known, curves=True)
    if output is not None:
        say(f"wrote {output}")
