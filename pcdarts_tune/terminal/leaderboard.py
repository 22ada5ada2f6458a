"""The leaderboard as a table: trials best first, their settings, what they cost, what came of them.

print_leaderboard(sweep.records(), sweep.keys)          # on stdout: it is a result
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pcdarts_tune.recording import naming

if TYPE_CHECKING:
    from rich.table import Table

    from pcdarts_tune.sweeping.outcome import TrialRecord


def leaderboard_table(records: Sequence[TrialRecord], keys: Sequence[str]) -> Table:
    """Trials as a table, in the order given; `keys` are the settings to show."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "rank",
        "trial",
        "accuracy",
        *map(naming.short_name, keys),
        "params",
        "MACs",
        "skips",
        "genotype",
    ):
        table.add_column(title, justify="left" if title == "genotype" else "right", no_wrap=True)
    table.add_column("outcome", overflow="fold")
    for rank, record in enumerate(records, 1):
        shown = [
            naming.short_value(record.hyperparameters[key]) if key in record.hyperparameters else ""
            for key in keys
        ]
        table.add_row(
            str(rank) if record.objective is not None else "",
            str(record.trial),
            "" if record.objective is None else f"{record.objective:.4f}",
            *shown,
            _short(record.params),
            _short(record.macs),
            _skips(record),
            (record.genotype_hash or "")[:8],
            f"{record.state}: {record.reason}" if record.reason else record.state,
        )
    return table


def print_leaderboard(records: Sequence[TrialRecord], keys: Sequence[str]) -> None:
    """The leaderboard on stdout; in a pipe nothing is cut off."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    Console(width=width, soft_wrap=False).print(leaderboard_table(records, keys), highlight=False)


def _short(count: int | None) -> str:
    """`3612426` -> `3.61M`."""
    if count is None:
        return ""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _skips(record: TrialRecord) -> str:
    if record.genotype is None:
        return ""
    return str(sum(operation == "skip_connect" for operation, _ in record.genotype["normal"]))
