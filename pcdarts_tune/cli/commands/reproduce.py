"""`pcdarts-tune reproduce`: run a trial, a search or a retraining again from what was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say, verbosity


@click.command("reproduce")
@click.argument("run", shell_complete=completing.runs)
@options.data
@click.option("--force", is_flag=True, help="Run it on other images than the original had.")
@options.device
@options.store
@options.output
def command(run: str, data: Path | None, force: bool, device: str, where: Where, as_json: bool) -> None:
    """Run RUN again from its record (space, hyperparameters, seed, threads) into a new MLflow run tagged
    `pcdarts.reproduces`, and say whether it came out equal, number by number, or by how much it differs. The images'
    digest is checked, and what differs of versions and machine is said before. The test split is not read.

    RUN is a trial (SWEEP:TRIAL), the model that came of a training (its name, model@alias, model/version), or the MLflow run
    id, or its first digits, of a trial, search, retraining or fine-tuning. On a CPU with the same versions the result is
    equal bit for bit; on a GPU it is close. `--device auto` takes the kind of device that the original ran on. An interrupted
    reproduction goes on when it is run again. The exit code is 0 whether it is equal or not.

    With --json, one object: {"reproduces", "kind", "run_id", "equal", "verdict", "numbers", "epochs",
    "first_difference", "largest_difference", "genotype_equal", "weights_equal", "held_out", "missing", "warnings"}.

    \b
    Example:
      pcdarts-tune reproduce first:3
      pcdarts-tune reproduce first@champion --json
    """
    from pcdarts_tune.lineage.original import Original
    from pcdarts_tune.lineage.reproduce import reproduce
    from pcdarts_tune.sweeps.find import Finder

    original = Original.read(Finder(where).find(run))
    try:
        done = reproduce(original, device=device, data=data, force=force, quiet=verbosity() < 0)
    except KeyboardInterrupt:
        say(f"to go on where it stopped: pcdarts-tune reproduce {run}{where.home_flag}")
        raise
    record = original.record
    if as_json:
        click.echo(json.dumps(done.to_dict()))
    else:
        click.echo(f"{record.kind} {record.name}: {done.agreement}")
        click.echo(f"MLflow run {done.run_id}")
    say(f"side by side: pcdarts-tune diff {record.run_id[:12]} {done.run_id[:12]}{where.home_flag}")
