"""`pcdarts-tune resume`: go on with a sweep that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import run_options
from pcdarts_tune.home import Where

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings


@click.command("resume")
@click.argument("sweep", shell_complete=completing.sweeps)
@options.data
@run_options
@options.sweep_store
@options.output
def command(sweep: str, data: Path | None, run: RunSettings, where: Where, as_json: bool) -> int:
    """Go on with SWEEP after Ctrl-C, a crash, a reboot or a spent time budget: trials that ended stay, those that ran
    go on from their checkpoints, in the same MLflow runs, and the rest is run. Trials that failed are not run again.

    With --json, at the end what `leaderboard --json` prints.

    \b
    Example:
      pcdarts-tune resume first
      pcdarts-tune resume first --time-budget 8h
    """
    from pcdarts_tune.api.running import prepare_resuming
    from pcdarts_tune.sweeps.launch import run_to_the_end
    from pcdarts_tune.sweeps.sweep import open_sweep

    handle = open_sweep(where, sweep)
    images = prepare_resuming(handle, run, data)
    return run_to_the_end(handle, run, images, as_json=as_json)
