"""The genotypes of a promotion side by side, best held-out mean first.

print_comparison(promoted.standings, promoted.chosen.name)      # on stdout: it is a result
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.promoting.comparison import COLUMNS, rows

if TYPE_CHECKING:
    from pcdarts_tune.promoting.comparison import Standing


def print_comparison(standings: Sequence[Standing], chosen: str) -> None:
    """The table on stdout, the chosen one marked; columns without a number are left out."""
    from rich.console import Console
    from rich.table import Table

    content = rows(standings)
    shown = [i for i in range(len(COLUMNS)) if any(row[i] not in (None, 0) for row in content)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for i in shown:
        table.add_column(COLUMNS[i], justify="left" if i < 2 else "right", no_wrap=True)
    for row in content:
        table.add_row("*" if row[0] == chosen else "", *(_text(row[i]) for i in shown))
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table, highlight=False)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
