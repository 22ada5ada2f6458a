"""`pcdarts-tune report`: a sweep, or several side by side, as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say


@click.command("report")
@click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True, shell_complete=completing.sweeps)
@options.output_file("The page.  [default: SWEEP.html here; of several sweeps comparison.html]")
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
    """Write what SWEEP came to as one HTML page that needs no network: a summary in words, the leaderboard, the course of
    the search, which settings matter, accuracy against size, the best cells with their alphas, what it cost, what failed
    and why, and how to run it again; with --benchmark also the known accuracies of the cells. It reads the sweep's study
    alone, also while the sweep runs.

    Of several sweeps: their best so far over trials and over hours, the tables, and all trials in one order.

    With --json, the figures behind it as one object: {"file", "sweep", "trials", "states", "best", "level", "objective",
    "held_out_images", "majority", "noise", "resolution", "hours", "importances", "pareto", "lost", "summary"}; of several
    sweeps what `leaderboard --json` prints of them, and "file".

    \b
    Example:
      pcdarts-tune report first -o first.html
      pcdarts-tune report tuned random -o rivals.html
    """
    from pcdarts_tune.api.reports import report_sweep
    from pcdarts_tune.sweeps.sweep import open_sweep

    handle, *others = [open_sweep(where, name) for name in sweeps]
    if others:
        from pcdarts_tune.api.board import read_comparison
        from pcdarts_tune.reporting.comparison import write_comparison

        compared, known = read_comparison([handle, *others], benchmark, truth)
        target = output or Path("comparison.html")
        write_comparison(compared, target, known)
        if as_json:
            click.echo(json.dumps({"file": str(target), **compared.to_dict()}))
        else:
            say(f"wrote {target}")
        return
    report = report_sweep(handle, output, benchmark, truth)
    if as_json:
        click.echo(json.dumps(report.to_dict()))
    else:
        say(f"wrote {report.path}")
