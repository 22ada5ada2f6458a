"""The leaderboard as a table: trials best first, their settings, what they cost, what came of them.

print_leaderboard(sweep.records(), sweep.keys)          # on stdout: it is a result
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pcdarts_tune.errors import visible
from pcdarts_tune.recording import naming
from pcdarts_tune.reporting.standing import Standing, standings

if TYPE_CHECKING:
    from rich.table import Table

    from pcdarts_tune.promoting.spread import Spread
    from pcdarts_tune.sweeping.outcome import TrialRecord


def leaderboard_table(records: Sequence[TrialRecord], keys: Sequence[str]) -> Table:
    """Trials as a table, in the order given; `keys` are the settings to show. Where there are several objectives, a star
    marks the Pareto front. Columns that nobody fills are left out."""
    from rich.table import Table

    board = standings(records)
    columns = leaderboard_columns(board, keys)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        if title == "outcome":
            table.add_column(title, overflow="fold")
        else:
            table.add_column(title, justify="left" if title == "genotype" else "right", no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(visible, cells))
    return table


def leaderboard_json(records: Sequence[TrialRecord]) -> str:
    """The list that `--json` prints, best first."""
    return json.dumps([standing.to_dict() for standing in standings(records)])


def print_leaderboard(records: Sequence[TrialRecord], keys: Sequence[str]) -> None:
    """The leaderboard on stdout; in a pipe nothing is cut off."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    # a reason may hold [brackets], which are no markup
    Console(width=width, soft_wrap=False, markup=False, emoji=False).print(
        leaderboard_table(records, keys), highlight=False
    )


def leaderboard_columns(board: Sequence[Standing], keys: Sequence[str]) -> dict[str, list[str]]:
    """Title -> a cell a trial; columns that nobody fills are left out, and so is how many trials found a genotype where
    each found its own."""

    def column(cell: Callable[[Standing], object]) -> list[str]:
        return ["" if (value := cell(standing)) is None else str(value) for standing in board]

    def setting(key: str, of: TrialRecord) -> str | None:
        return naming.short_value(of.hyperparameters[key]) if key in of.hyperparameters else None

    def spent(unit: str, of: Standing) -> str | None:
        return short_hours(of.spent.hours) if of.spent is not None and of.spent.unit == unit else None

    columns = {
        "rank": column(lambda s: s.rank),
        "trial": column(lambda s: s.record.trial),
        "accuracy": column(lambda s: None if s.record.objective is None else f"{s.record.objective:.4f}"),
        "mean ± sd (n)": column(lambda s: s.spread and short_spread(s.spread)),
        "Pareto": column(lambda s: "*" if s.record.pareto else None),
        **{naming.short_name(key): column(lambda s, key=key: setting(key, s.record)) for key in keys},  # type: ignore[misc]
        "params": column(lambda s: naming.short_count(s.record.params)),
        "MACs": column(lambda s: naming.short_count(s.record.macs)),
        "latency": column(lambda s: None if s.record.latency is None else f"{s.record.latency:.3g} ms"),
        "skips": column(lambda s: s.skip_connections),
        **{f"{unit}-h": column(lambda s, unit=unit: spent(unit, s)) for unit in ("GPU", "CPU")},  # type: ignore[misc]
        "found": column(lambda s: len(s.found_by) or None),
        "genotype": column(lambda s: (s.record.genotype_hash or "")[:8]),
        "outcome": column(lambda s: outcome_text(s.record)),
    }
    if all(len(standing.found_by) < 2 for standing in board):
        del columns["found"]
    always = ("rank", "trial", "accuracy", "params", "MACs", "skips", "genotype", "outcome")
    return {title: cells for title, cells in columns.items() if title in always or any(cells)}


def outcome_text(record: TrialRecord) -> str:
    """How a trial ended, with the reason where there is one."""
    return f"{record.state}: {record.reason}" if record.reason else record.state


def short_spread(spread: Spread) -> str:
    """`0.9710 ± 0.0030 (3)`: mean, standard deviation, number of seeds."""
    assert spread.std is not None, "a spread is of two values and more"
    return f"{spread.mean:.4f} ± {spread.std:.4f} ({spread.n})"


def short_hours(hours: float) -> str:
    """Two digits that count: `0.0083`, `1.2`, `340`."""
    return f"{hours:.2g}" if hours < 100 else f"{hours:.0f}"
