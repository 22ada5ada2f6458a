"""Options that belong together, handed to a command as one value.

@execution_options()
@worker_options
def command(execution: Execution, workers: Workers) -> None: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from pcdarts_tune.cli import options
from pcdarts_tune.cli.options import NearestChoice, option_group
from pcdarts_tune.say import verbosity
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.values import AIMS, Sampler, Setting, Size, amount
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
)
"""`--device`, `--workers`, `--groups` and `--address`, handed over as `workers`."""


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5
    """`90s`, `45m`, `2h`, `1d`, `1h30m`; a bare number is seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip().lower()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            text += "s"
        if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
            self.fail(f"{value!r} is no duration; such as 90s, 45m, 2h, 1h30m or 1d.", param, ctx)
        units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
        seconds = sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
        if seconds <= 0:
            self.fail(f"{value!r} is no time at all.", param, ctx)
        return seconds


def _run_settings(
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
    **others: Any,
) -> RunSettings:
    from pcdarts_tune.sweeps.runner import RunSettings

    quiet = verbosity() < 0
    return RunSettings(cpus=cpus_per_trial, gpus=gpus_per_trial, most=max_concurrent, quiet=quiet, **others)


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
        "--time-budget",
        type=Duration(),
        metavar="TIME",
        help="Stop after 90s, 45m, 2h or 1d; `resume` goes on.",
    ),
)
"""How much of which machines a sweep takes, and for how long, handed over as `run`, a `RunSettings`."""


class Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5
    """`600M`, `4.2M`, `150k`, or a whole number."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            count = amount(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        if not count or count < 1:
            self.fail(f"{value!r} leaves nothing that is legal.", param, ctx)
        return int(count)


def _goals(
    method: str | None = None,
    repeats: int | None = None,
    sampler: str | None = None,
    objectives: tuple[str, ...] = (),
    max_params: int | None = None,
    max_macs: int | None = None,
) -> list[Setting]:
    flags = " ".join(f"--objective {name}" for name in objectives)
    scores = [name for name in objectives if name in AIMS]
    if len(set(scores)) > 1:
        raise click.UsageError(f"{flags}: one of {', '.join(scores)}, since a trial has one score")
    # in the list `accuracy` stands for the score, whichever it is
    listed = ["accuracy" if name in scores else name for name in objectives]
    given = [
        Setting("search.method", method, f"--method {method}"),
        Setting("repeats", repeats, f"--repeats {repeats}"),
        Setting("sampler", sampler, f"--sampler {sampler}"),
        Setting("objective", scores[0] if scores else None, flags),
        Setting("objectives", listed or None, flags),
        Setting("constraints.max_params", max_params, f"--max-params {max_params}"),
        Setting("constraints.max_macs", max_macs, f"--max-macs {max_macs}"),
    ]
    return [setting for setting in given if setting.value is not None]


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
        type=NearestChoice(get_args(Sampler)),
        help="How Optuna proposes hyperparameters.  [default: the space's, tpe unless it says otherwise]",
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
