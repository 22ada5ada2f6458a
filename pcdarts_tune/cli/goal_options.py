"""Options of `sweep` for what a space says of its aims: they go over the file and over `--set`.

@goal_options
def command(goals: list[Setting]) -> None:
    space = read_space(space, settings, goals)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, get_args

import click

from pcdarts_tune.cli.options import NearestChoice
from pcdarts_tune.spaces.values import Objective, Sampler, Setting, amount

F = TypeVar("F", bound=Callable[..., Any])


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


def goal_options(function: F) -> F:
    """`--sampler`, `--objective`, `--max-params`, `--max-macs`, handed over as `goals`."""

    @click.option(
        "--sampler",
        type=NearestChoice(get_args(Sampler)),
        help="How Optuna proposes hyperparameters.  [default: the space's, tpe unless it says otherwise]",
    )
    @click.option(
        "--objective",
        "objectives",
        type=NearestChoice(get_args(Objective)),
        multiple=True,
        help="What to aim at; again for several, accuracy among them: then there is a Pareto front.  "
        "[default: the space's, accuracy]",
    )
    @click.option(
        "--max-params",
        type=Amount(),
        metavar="N",
        help="Evaluate no genotype whose retraining network has more parameters, such as 4.2M.",
    )
    @click.option(
        "--max-macs",
        type=Amount(),
        metavar="N",
        help="Evaluate no genotype whose retraining network needs more multiply-adds an image, such as 600M.",
    )
    @wraps(function)
    def wrapped(
        *args: Any,
        sampler: str | None,
        objectives: tuple[str, ...],
        max_params: int | None,
        max_macs: int | None,
        **kwargs: Any,
    ) -> Any:
        aims = " ".join(f"--objective {name}" for name in objectives)
        given = [
            Setting("sampler", sampler, f"--sampler {sampler}"),
            Setting("objectives", list(objectives) or None, aims),
            Setting("constraints.max_params", max_params, f"--max-params {max_params}"),
            Setting("constraints.max_macs", max_macs, f"--max-macs {max_macs}"),
        ]
        goals = [setting for setting in given if setting.value is not None]
        return function(*args, goals=goals, **kwargs)

    return wrapped  # type: ignore[return-value]
