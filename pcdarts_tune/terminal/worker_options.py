"""`--workers`, `--groups` and `--address`, for the commands that retrain.

@worker_options
def command(division: Division) -> None:
    division.check(space.retrain.batch_size)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from pcdarts_tune.distributed.division import Division
from pcdarts_tune.terminal.options import address_option

F = TypeVar("F", bound=Callable[..., Any])


def worker_options(function: F) -> F:
    """The options of `Division`, handed over as `division`."""

    @click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Train by N processes of Ray Train, with a GPU each where there are some; a batch is divided among them.",
    )
    @click.option(
        "--groups",
        type=click.IntRange(min=1),
        metavar="G",
        help="Parts of a batch with BatchNorm statistics of their own: what G workers compute, with fewer of them or in "
        "this process.  [default: --workers]",
    )
    @address_option
    @wraps(function)
    def wrapped(
        *args: Any, workers: int | None, groups: int | None, address: str | None, **kwargs: Any
    ) -> Any:
        return function(*args, division=Division(workers, groups, address), **kwargs)

    return wrapped  # type: ignore[return-value]
