"""Options of the commands that run a sweep: how much of which machines, and for how long.

@run_options
def command(run: RunOptions) -> None:
    run.settings()
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcdarts_tune.terminal.gathering import gathered
from pcdarts_tune.terminal.options import address_option, verbosity

if TYPE_CHECKING:
    from pcdarts_tune.sweeping.runner import RunSettings

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


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
        seconds = sum(
            float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", text)
        )
        if seconds <= 0:
            self.fail(f"{value!r} is no time at all.", param, ctx)
        return seconds


@dataclass(frozen=True)
class RunOptions:
    """What was given on the command line."""

    address: str | None
    cpus_per_trial: float | None
    gpus_per_trial: float | None
    max_concurrent: int | None
    time_budget: float | None

    def settings(self) -> RunSettings:
        """As the runner takes it."""
        from pcdarts_tune.sweeping.runner import RunSettings

        return RunSettings(
            address=self.address,
            cpus=self.cpus_per_trial,
            gpus=self.gpus_per_trial,
            most=self.max_concurrent,
            time_budget=self.time_budget,
            quiet=verbosity() < 0,
        )


run_options = gathered(
    RunOptions,
    "run",
    address_option,
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
"""The options of `RunOptions`, handed over as `run`."""
