"""`pcdarts-tune leaderboard`: a sweep's trials, best first."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.terminal.options import home_option, json_option, verbosity_options


@click.command("leaderboard", short_help="A sweep's trials, best first.")
@click.argument("sweep")
@home_option
@json_option
@verbosity_options
def command(sweep: str, home: Path, as_json: bool) -> None:
    """The trials of SWEEP, best first, those that failed with their reason.

    Accuracy is that of the derived network on held-out images; params and MACs are those of the retraining network.
    With --json, a list of {"trial", "state", "objective", "genotype", "genotype_hash", "params", "macs",
    "hyperparameters", "run_id", "reason", ...}; states: complete, pruned, failed, running, waiting.

    \b
    Example:
      pcdarts-tune leaderboard first
      pcdarts-tune leaderboard first --json | python -m json.tool
    """
    from pcdarts_tune.sweep import open_sweep
    from pcdarts_tune.terminal.leaderboard import print_leaderboard

    handle = open_sweep(home, sweep)
    records = handle.records()
    if as_json:
        click.echo(json.dumps([record.to_dict() for record in records]))
    else:
        print_leaderboard(records, handle.keys)
