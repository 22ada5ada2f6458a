"""`--precision`, `--compile` and `--graphs`, for the commands that train.

@execution_options
def command(given: Given) -> None:
    execution = given.over(Execution())
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import click

from pcdarts_tune.execution import NAMES_OF_PRECISIONS, Execution
from pcdarts_tune.terminal.gathering import F, gathered
from pcdarts_tune.terminal.options import NearestChoice


@dataclass(frozen=True)
class Given:
    """What was given on the command line; None where nothing was."""

    precision: str | None = None
    compile: bool | None = None
    graphs: bool | None = None

    def over(self, defaults: Execution) -> Execution:
        """The defaults, with what was given in their place."""
        return replace(defaults, **{key: value for key, value in vars(self).items() if value is not None})


def execution_options(default: str = "") -> Callable[[F], F]:
    """The options of `Given`, handed over as `given`.

    Args:
        default: what the help says of values that are not given, where those are not `Execution`'s own.
    """
    return gathered(
        Given,
        "given",
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
