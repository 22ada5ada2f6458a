"""Options that belong together, handed to a command as one value.

@execution_options()
@worker_options
def command(execution: Execution, workers: Workers) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from pcdarts_tune.api.options import goal_settings, parse_duration, parse_limit, run_settings
from pcdarts_tune.cli import options
from pcdarts_tune.cli.options import NearestChoice, option_group
from pcdarts_tune.say import verbosity
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.values import AIMS, SAMPLERS, Setting, Size, is_class_path
from pcdarts_tune.tasks import NAMES_OF_PRECISIONS, Execution, Workers

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings

F = TypeVar("F", bound=Callable[..., Any])


def execution_options(default: str = "", kind: Callable[..., Any] = Execution) -> Callable[[F], F]:
    """`--precision`, `--compile` and `--graphs`: what `kind` makes of those that are given, handed over as `execution`. Of
    others the help says `default`."""
    return option_group(
        kind,
        "execution",
        click.option(
            "--precision",
            type=NearestChoice(NAMES_OF_PRECISIONS),
            help="Of forward passes. bf16 computes in bfloat16 and keeps weights, statistics and losses in float32; "
            f"tf32 needs a GPU.  [default: {default or 'float32'}]",
        ),
        click.option(
            "--compile/--no-compile",
            "compile",
            default=None,
            help="Let torch.compile compile the network; takes minutes at first.  "
            f"[default: {default or 'no-compile'}]",
        ),
        click.option(
            "--graphs/--no-graphs",
            default=None,
            help="Replay whole steps as CUDA graphs; --graphs fails where that cannot be.  "
            f"[default: {default or 'on a GPU, where it can be'}]",
        ),
    )


worker_options = option_group(
    Workers,
    "workers",
    options.device,
    click.option(
        "--workers",
        "count",
        type=click.IntRange(min=1),
        metavar="N",
        help="Train by N processes of Ray Train, with a GPU each where there are some; a batch is divided among them.",
    ),
    click.option(
        "--groups",
        type=click.IntRange(min=1),
        metavar="G",
        help="Parts of a batch with BatchNorm statistics of their own: what G workers compute, with fewer of them or in "
        "this process.  [default: --workers]",
    ),
    options.address,
    options.threads,
)
"""`--device`, `--workers`, `--groups`, `--address` and `--threads`, handed over as `workers`."""


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5
    """`90s`, `45m`, `2h`, `1d`, `1h30m`; a bare number is seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _run_settings(**given: Any) -> RunSettings:
    return run_settings(**given, quiet=verbosity() < 0)


run_options = option_group(
    _run_settings,
    "run",
    options.address,
    click.option(
        "--cpus-per-trial",
        type=click.FloatRange(min=0, min_open=True),
        metavar="F",
        help="CPU cores of a trial.  [default: an equal share]",
    ),
    click.option(
        "--gpus-per-trial",
        type=click.FloatRange(min=0),
        metavar="F",
        help="GPUs of a trial; 0.25 lets four share one.  [default: 1 where there are GPUs]",
    ),
    click.option(
        "--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Trials at a time, at most."
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="CPU threads of a trial, and without --cpus-per-trial as many cores; a sweep keeps the number.  "
        "[default: as many as it has cores]",
    ),
    click.option(
        "--time-budget",
        type=Duration(),
        metavar="TIME",
        help="Stop after 90s, 45m, 2h or 1d; `resume` goes on.",
    ),
)
"""How much of which machines a sweep takes, and for how long, handed over as `run`, a `RunSettings`."""


class SamplerName(NearestChoice):
    """One of the samplers that come with this package, `module:Class`, or one of a plug-in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from pcdarts_tune import plugins

        text = str(value)
        known = text in SAMPLERS or is_class_path(text) or plugins.knows("samplers", text)
        return text if known else super().convert(value, param, ctx)


class Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5
    """`600M`, `4.2M`, `150k`, or a whole number."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_limit(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _goals(**given: Any) -> list[Setting]:
    with options.wrong_usage():
        return goal_settings(**given)


goal_options = option_group(
    _goals,
    "goals",
    click.option(
        "--method",
        type=NearestChoice(list(METHODS)),
        help="How a trial finds its genotype: by a search, or drawn at random, to compare with.  "
        "[default: the space's, pc-darts unless it says otherwise]",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(1, 100),
        metavar="N",
        help="Search with N seeds in each trial, and aim at the mean of what their cells score.  "
        "[default: the space's, 1 unless it says otherwise]",
    ),
    click.option(
        "--sampler",
        type=SamplerName(SAMPLERS),
        help="How Optuna proposes hyperparameters; also a class of Optuna's or OptunaHub's, module:Class, or a plug-in's.  "
        "[default: the space's, tpe unless it says otherwise]",
    ),
    click.option(
        "--objective",
        "objectives",
        type=NearestChoice((*AIMS, *get_args(Size))),
        multiple=True,
        help="What to aim at: a score (or benchmark: the accuracy in the table of --benchmark, and nothing is trained), "
        "and again for sizes beside it: then there is a Pareto front.  "
        "[default: the space's, accuracy]",
    ),
    click.option(
        "--max-params",
        type=Amount(),
        metavar="N",
        help="Evaluate no genotype whose retraining network has more parameters, such as 4.2M.",
    ),
    click.option(
        "--max-macs",
        type=Amount(),
        metavar="N",
        help="Evaluate no genotype whose retraining network needs more multiply-adds an image, such as 600M.",
    ),
)
"""What a space says of its aims, over its file and `--set`, handed over as `goals`, a list of `Setting`."""
