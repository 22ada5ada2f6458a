"""`pcdarts-tune leaderboard`: a sweep's trials, best first; several sweeps side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where


@click.command("leaderboard")
@click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True, shell_complete=completing.sweeps)
@options.benchmark
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV on stdout: a line a trial, a column a setting."
)
@options.home
@options.output
def command(
    sweeps: tuple[str, ...],
    benchmark: Path | None,
    truth: str | None,
    as_csv: bool,
    where: Where,
    as_json: bool,
) -> None:
    """The trials of SWEEP, best first, those that failed with their reason.

    Accuracy is that of the derived network on held-out images, or the score that the space's `objective` names, and ± se its
    standard error; params and MACs are those of the retraining network; skips are skip connections in the normal (or only)
    cell; GPU-h or CPU-h are hours, times the share that the trial had; found: how many trials found this genotype. Where
    trials share their settings and differ in their search seed: mean, standard deviation
    and number of them.

    A trial is pruned when its search collapsed, its genotype is too large, or its evaluation was not among the best at a
    rung. A sweep with several objectives lists its Pareto front first ("pareto": true, the values under "objectives").
    Where the trials differ by no more than the noise of so many held-out images, a sentence under the table says so.

    Of several sweeps: the best of the first 1, 2, 4, ... trials of each and within the same hours, then all trials in one
    order. A best with several searches (--repeats) has its deviation and their number. Sweeps with other images or another
    evaluation recipe are refused.

    With --benchmark, what a table of known accuracies says of each cell stands beside the trials; nothing is chosen by it.

    With --csv, all trials in one order, whatever the number of sweeps, the genotype as a text that every command reads.

    With --json, a list of {"trial", "state", "objective", "genotype", "genotype_hash", "params", "macs",
    "hyperparameters", "run_id", "reason", "standard_error", "held_out", ..., "rank", "skip_connections", "found_by",
    "spread", "gpu_hours", "cpu_hours"}, with --benchmark also "known", its columns or null; states: complete, pruned, failed,
    running, waiting. Of several sweeps, one object: {"sweeps": [{"sweep", "method", "sampler", "repeats", ...,
    "after_trials": [{"trials", "trial", "objective", "std", "n"}], "after_hours": [{"hours", ...}]}], "unit", "trials": [the
    same as of one, with "sweep" and "method"], "notes"}.

    \b
    Example:
      pcdarts-tune leaderboard first
      pcdarts-tune leaderboard first --json | python -m json.tool
      pcdarts-tune leaderboard tuned random
      pcdarts-tune leaderboard first --csv > first.csv
      pcdarts-tune leaderboard nb201 --benchmark nasbench201.csv.gz
    """
    from pcdarts_tune.api.board import read_board, read_comparison
    from pcdarts_tune.cli.comparing import print_comparison
    from pcdarts_tune.sweeps.leaderboard import leaderboard_json, print_leaderboard
    from pcdarts_tune.sweeps.leaderboard_csv import leaderboard_csv
    from pcdarts_tune.sweeps.sweep import open_sweep

    if as_csv and as_json:
        raise click.UsageError("--csv and --json are two forms; choose one")
    handle, *others = [open_sweep(where, name) for name in sweeps]
    if others:
        compared, known = read_comparison([handle, *others], benchmark, truth)
        if as_csv:
            rows = [(course.name, trial) for course, trial in compared.pooled]
            click.echo(leaderboard_csv(rows), nl=False)
        elif as_json:
            click.echo(json.dumps(compared.to_dict()))
        else:
            print_comparison(compared, known)
        return
    board, known = read_board(handle, benchmark, truth)
    if as_csv:
        click.echo(leaderboard_csv([(handle.name, trial) for trial in board]), nl=False)
    elif as_json:
        click.echo(leaderboard_json(board))
    else:
        print_leaderboard(board, handle.keys, handle.space.objective, known)
