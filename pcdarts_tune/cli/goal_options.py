"""Options of `sweep` for what a space says of its aims: they go over the file and over `--set`.

@goal_options
def command(goals: Goals) -> None:
    space = with_flags(space, goals)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from pcdarts_tune.cli.options import NearestChoice
from pcdarts_tune.spaces.amounts import Objective, Sampler, amount

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space

F = TypeVar("F", bound=Callable[..., Any])

Goals = dict[str, tuple[str, Any]]
"""Dotted key -> the flag as it was given, and its value."""


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


def with_flags(space: Space, goals: Goals) -> Space:
    """The space with the flags' values. Raises UserError with every mistake, each begun by its flag."""
    from pcdarts_tune.spaces.settings import assign

    if not goals:
        return space
    values = {key: value for key, (_, value) in goals.items()}
    return assign(space, values, {key: flag for key, (flag, _) in goals.items()})


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
        goals: Goals = {}
        if sampler is not None:
            goals["sampler"] = (f"--sampler {sampler}", sampler)
        if objectives:
            goals["objectives"] = (" ".join(f"--objective {name}" for name in objectives), list(objectives))
        if max_params is not None:
            goals["constraints.max_params"] = (f"--max-params {max_params}", max_params)
        if max_macs is not None:
            goals["constraints.max_macs"] = (f"--max-macs {max_macs}", max_macs)
        return function(*args, goals=goals, **kwargs)

    return wrapped  # type: ignore[return-value]
