"""Two runs side by side on the terminal, and their cells in one picture.

print_differences(differences(a, b))
draw_difference(a, b, Path("cells.svg"))
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.errors import UserError, nearest, visible
from pcdarts_tune.terminal.show import number

if TYPE_CHECKING:
    from pcdarts_tune.differences import Differences, Pair
    from pcdarts_tune.lineage import Subject

SUFFIXES = (".svg", ".png")


def print_differences(found: Differences) -> None:
    """On stdout; in a pipe nothing is cut off."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 200)
    click.echo(visible(f"A: {found.a.name}"))
    click.echo(visible(f"B: {found.b.name}"))
    if found.settings:
        _table(console, "settings that differ", found.settings)
    click.echo(f"\n{found.alike} settings are equal" if found.alike else "\nno settings in common")
    if found.results:
        _table(console, "results", found.results, difference=True)
    if found.genotype:
        _table(console, "cells that differ", found.genotype)
    elif found.genotype is not None:
        click.echo("\nthe genotypes are equal")
    if found.about:
        _table(console, "otherwise", found.about)


def draw_difference(a: Subject, b: Subject, output: Path) -> None:
    """Both genotypes in one picture, whole or not at all.

    Raises:
        UserError: when one has no genotype, or for a suffix that is no picture's.
    """
    from pcdarts_tune import draw

    for subject in (a, b):
        if subject.genotype is None:
            raise UserError(
                f"{subject.name} has no genotype to draw", hint="a trial that is complete, or a retraining"
            )
    assert a.genotype is not None
    assert b.genotype is not None
    suffix, names = output.suffix.lower(), (_short(a), _short(b))
    if suffix == ".svg":
        content = draw.genotype_diff_svg(a.genotype, b.genotype, names=names).encode()
    elif suffix == ".png":
        content = draw.genotype_diff_png(a.genotype, b.genotype, names=names)
    else:
        raise UserError(
            f"cannot tell from {output.name!r} what to draw; the name must end in {' or '.join(SUFFIXES)}"
            f"{nearest(suffix, SUFFIXES)}",
            hint=f"-o {output.with_suffix('.svg').name}",
        )
    draw.write_whole(output, content)


def _short(subject: Subject) -> str:
    return subject.reference if len(subject.reference) <= 24 else f"{subject.reference[:12]}…"


def _table(console: Any, title: str, pairs: dict[str, Pair], *, difference: bool = False) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "A", "B", *(["B - A"] if difference else [])):
        table.add_column(name, overflow="fold", justify="left" if not name or not difference else "right")
    for key, (a, b) in pairs.items():
        row = [f"  {key}", _text(a), _text(b)]
        if difference:
            row.append("" if a is None or b is None else f"{b - a:+.4g}" if b != a else "0")
        table.add_row(*row)
    click.echo(f"\n{title}:")
    console.print(table, highlight=False, markup=False)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return visible(str(value))
