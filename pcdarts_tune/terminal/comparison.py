"""Genotypes side by side, best held-out mean first, and the seeds of one.

print_comparison(promoted.standings, promoted.chosen.name)      # on stdout: it is a result
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.promoting.comparison import COLUMNS, rows
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    from pcdarts_tune.promoting.comparison import Standing
    from pcdarts_tune.promoting.several import Compared
    from pcdarts_tune.retraining import Retrained


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


def accuracies(done: Retrained) -> str:
    """On the test split, and on held-out images where there are some."""
    held_out = "" if done.validation_accuracy is None else f" (held-out {done.validation_accuracy:.4f})"
    return f"test accuracy {done.test_accuracy:.4f}{held_out}"


def print_seeds(compared: Compared, output: Path) -> None:
    """Every training of a genotype, its baselines side by side, and mean and spread."""
    own = compared.own
    for each in own.trainings:
        said = f"diverged: {each.failed}" if each.done is None else accuracies(each.done)
        click.echo(f"{output / f'seed-{each.seed}'}: {said}")
    if len(compared.standings) > 1:
        print_comparison(compared.standings, own.name)
        for verdict in compared.verdicts:
            click.echo(verdict)
    if own.held_out.values:
        click.echo(f"held-out accuracy {own.held_out}")
    click.echo(f"test accuracy {own.test}")
    say(f"next: pcdarts-tune predict {output / f'seed-{own.best().seed}'} IMAGE...")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
