"""`pcdarts-tune status`: how far a sweep is."""

from __future__ import annotations

import json

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.say import say


@click.command("status")
@click.argument("sweep", required=False, shell_complete=completing.sweeps)
@options.home
@options.output
def command(sweep: str | None, where: Where, as_json: bool) -> None:
    """How far SWEEP is: its trials by state, the best so far, whether a process runs it, and what to do next; without
    SWEEP, the names of all sweeps.

    With --json, one object: {"sweep", "space", "running", "trials", "states", "best"}, and once two genotypes were scored
    "objective" and "noise": {"within", "genotypes", "images", "spread", "expected", "p"}.

    \b
    Example:
      pcdarts-tune status first
    """
    from pcdarts_tune.spaces import naming
    from pcdarts_tune.spaces.scores import score_title
    from pcdarts_tune.sweeps.noise import candidate_options, read_noise
    from pcdarts_tune.sweeps.sweep import counts, open_sweep
    from pcdarts_tune.sweeps.trials.repeats import describe_repeats
    from pcdarts_tune.tasks import ENDED

    if sweep is None:
        names = sweep_names(where.home)
        if not names and not as_json:
            first = f"pcdarts-tune sweep --space quickstart --trials 4{where.home_flag}"
            say(f"no sweep in {where.home} yet; {first}")
        click.echo(json.dumps(names) if as_json else "\n".join(names))
        return
    handle = open_sweep(where, sweep)
    records, target, running = handle.records(), handle.target, handle.running
    states = counts(records)
    best = records[0] if records and records[0].objective is not None else None
    noise = read_noise(records, handle.space.objective)
    if as_json:
        state = {
            "sweep": handle.name,
            "space": handle.space.name,
            "running": running,
            "trials": target,
            "states": states,
            "best": None if best is None else best.to_dict(),
            # older versions knew of one score and no error
            **({} if noise is None else {"objective": handle.space.objective, "noise": noise.to_dict()}),
        }
        click.echo(json.dumps(state))
        return
    ended = sum(states.get(state, 0) for state in ENDED)
    listing = ", ".join(f"{number} {state}" for state, number in states.items()) or "none started"
    click.echo(f"{handle.name} (space {handle.space.name}): {ended} of {target} trials ended; {listing}")
    if best is not None:
        settings = naming.format_settings(best.hyperparameters)
        click.echo(
            f"best: trial {best.trial}, {score_title(handle.space.objective)} {best.objective:.4f}{describe_repeats(best)}"
            f"  {settings}"
        )
    if running:
        click.echo("it is being run now")
    elif ended < target:
        click.echo(f"nobody runs it; to go on: {handle.command('resume')}")
    elif best is not None:
        if noise is not None and noise.within:
            click.echo(str(noise))
        click.echo(f"next: {handle.command('promote', *candidate_options(records, handle.space.objective))}")
    else:
        click.echo(f"no trial is complete; {handle.what_next()}")
