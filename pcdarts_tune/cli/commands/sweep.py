"""`pcdarts-tune sweep`: search with many hyperparameters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import execution_options, goal_options, run_options
from pcdarts_tune.home import Where
from pcdarts_tune.say import say
from pcdarts_tune.spaces.values import Setting
from pcdarts_tune.tasks import Execution

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings


@click.command("sweep")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    show_default="32, or each combination once of a space with fewer",
    help="How many trials; a grid's combinations get equally many.",
)
@options.space("cifar10")
@click.option("--name", help="The sweep's name.  [default: the space's name and a number]")
@options.data
@options.settings
@options.seed
@goal_options
@run_options
@execution_options()
@options.count(
    "--max-failures", 2, "Start a trial whose process was lost again, from its checkpoint, so often.", least=0
)
@options.benchmark
@click.option(
    "--warm-start",
    metavar="SWEEP",
    shell_complete=completing.sweeps,
    help="Let the sampler know the trials of another sweep, where the space allows their settings.",
)
@click.option(
    "--enqueue",
    type=options.GivenPath(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Try the settings in a file first: a list as JSON or YAML, or CSV with a column for each key.",
)
@options.storage
@options.study
@click.option("--plan", is_flag=True, help="Say what would be run, and write nothing.")
@options.output
def command(
    trials: int | None,
    space: str,
    name: str | None,
    data: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    goals: list[Setting],
    run: RunSettings,
    execution: Execution,
    max_failures: int,
    benchmark: Path | None,
    truth: str | None,
    warm_start: str | None,
    enqueue: Path | None,
    where: Where,
    storage: str | None,
    plan: bool,
    as_json: bool,
) -> int:
    """Search with many hyperparameters. Each trial searches, derives a genotype and trains the derived network from
    scratch; its accuracy on images that the search never saw is what Optuna maximises.

    By default all cores and GPUs of this machine are used: one GPU a trial, or one core where there is none, and the
    cores that are left over divided among the trials that run at a time. Ctrl-C stops; `resume` goes on.

    --objective benchmark aims at the known accuracies in the table of --benchmark, to study samplers: trials search, and
    train no derived network. The sweep keeps the table.

    --warm-start says which trials the sampler knows, and which not and why; they are no trials of the sweep. A sweep whose
    trials are scored otherwise is refused. Settings of --enqueue may leave keys out, which are drawn.

    With --json, at the end what `leaderboard --json` prints; with --plan, the plan.

    \b
    Example:
      pcdarts-tune sweep --space quickstart --trials 4 --name first
      pcdarts-tune sweep --space cifar10 --trials 32 --data cifar --gpus-per-trial 0.25
      pcdarts-tune sweep --space my-space.yaml --data photos --set search.epochs=30 --plan
      pcdarts-tune sweep --space imagenet --data imagenet --objective accuracy --objective latency --max-macs 600M
    """
    from pcdarts_tune.api.running import prepare_sweep
    from pcdarts_tune.api.space import resolve_space
    from pcdarts_tune.sweeps.launch import run_to_the_end

    resolved = resolve_space(space, settings, goals)
    prepared = prepare_sweep(
        resolved,
        where,
        trials=trials,
        name=name,
        data=data,
        seed=seed,
        execution=execution,
        max_failures=max_failures,
        benchmark=benchmark,
        truth=truth,
        storage=storage,
        warm_start=warm_start,
        enqueue=enqueue,
    )
    if plan:
        # PyTorch's profiler, which measures memory on a CPU, announces itself on stderr otherwise
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        from pcdarts_tune.planning.inputs import load_planned_images, trace_flags, trace_values
        from pcdarts_tune.planning.plan import PlanRequest, make_plan
        from pcdarts_tune.planning.text import format_plan

        planned, note = load_planned_images(resolved, data, where.home)
        flags = trace_flags(click.get_current_context())
        origins = {goal.key: goal.origin.split()[0] for goal in goals}
        configuration = trace_values(resolved, space, settings) | origins
        request = PlanRequest(
            prepared.name,
            resolved,
            prepared.settings,
            prepared.trials,
            run,
            planned,
            configuration,
            flags,
            note,
        )
        made = make_plan(request)
        click.echo(json.dumps(made) if as_json else format_plan(made))
        say("nothing was written; without --plan it runs")
        return 0
    sweep, images = prepared.create(run)
    return run_to_the_end(sweep, run, images, as_json=as_json)
