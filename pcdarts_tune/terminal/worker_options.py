"""`--workers`, `--groups` and `--address`, for the commands that retrain.

@worker_options
def command(division: Division) -> None:
    division.check(space.retrain.batch_size)
"""

from __future__ import annotations

import click

from pcdarts_tune.distributed.division import Division
from pcdarts_tune.terminal.gathering import gathered
from pcdarts_tune.terminal.options import address_option

worker_options = gathered(
    Division,
    "division",
    click.option(
        "--workers",
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
    address_option,
)
"""The options of `Division`, handed over as `division`."""
