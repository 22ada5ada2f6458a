"""`pcdarts-tune leaderboard`: a sweep's trials, best first."""

from __future__ import annotations

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where


@click.command("leaderboard")
@click.argument("sweep", shell_complete=completing.sweeps)
@options.home
@options.output
def command(sweep: str, where: Where, as_json: bool) -> None:
    """The trials of SWEEP, best first, those that failed with their reason.

    Accuracy is that of the derived network on held-out images; params and MACs are those of the retraining network; skips
    are skip connections in the normal cell; GPU-h or CPU-h are hours, times the share that the trial had; found: how many
    trials found this genotype. Where trials share their settings and differ in their search seed: mean, standard deviation
    and number of them.

    A trial is pruned when its search collapsed, its genotype is too large, or its evaluation was not among the best at a
    rung. A sweep with several objectives lists its Pareto front first ("pareto": true, the values under "objectives").

    With --json, a list of {"trial", "state", "objective", "genotype", "genotype_hash", "params", "macs",
    "hyperparameters", "run_id", "reason", ..., "rank", "skip_connections", "found_by", "spread", "gpu_hours",
    "cpu_hours"}; states: complete, pruned, failed, running, waiting.

    \b
    Example:
      pcdarts-tune leaderboard first
      pcdarts-tune leaderboard first --json | python -m json.tool
    """
    from pcdarts_tune.sweeps.leaderboard import leaderboard_json, print_leaderboard
    from pcdarts_tune.sweeps.sweep import open_sweep

    handle = open_sweep(where, sweep)
    records = handle.records()
    if as_json:
        click.echo(leaderboard_json(records))
    else:
        print_leaderboard(records, handle.keys)
