"""Sweeps side by side on stdout: what `compare`, and `leaderboard` of several sweeps, print.

print_comparison(compare_sweeps(sweeps), known=(), curves=True)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pcdarts_tune.errors import visible
from pcdarts_tune.say import print_table, say

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.comparison import Best, Comparison

STEPS = 40
"""Letters of a curve, at most."""
LEVELS = "▁▂▃▄▅▆▇█"
PLAIN_LEVELS = "01234567"
"""Where the terminal's encoding has no blocks."""


def print_comparison(compared: Comparison, known: Sequence[str], *, curves: bool = False) -> None:
    """The best so far over trials and over hours, also as `curves`, then all trials in one order; `known`: columns of a table
    of known accuracies."""
    from pcdarts_tune.sweeps.leaderboard import print_columns

    if curves:
        for line in draw_curves(compared):
            click.echo(visible(line))
    names = [course.name for course in compared.courses]
    for title, rows in compared.tables():
        print_table([title, *names], rows, left=0)
        click.echo()
    print_columns(compared.columns(known))
    for note in compared.notes:
        say(f"note: {note}")


def draw_curves(compared: Comparison) -> list[str]:
    """The best score so far of each sweep as a line of blocks, low to high on one scale: over its trials, and over hours where
    these are known in one unit. A dot stands where no trial is complete yet, nothing where the sweep has ended."""
    most = max((len(course.ended) for course in compared.courses), default=0)
    points = _spaced(most)
    rows = [[course.after_trials(count) for count in points] for course in compared.courses]
    lines = _block(compared, f"best so far over {most} trials", rows)
    if compared.budgets:
        end = compared.budgets[-1]
        budgets = [end * step / STEPS for step in range(1, STEPS + 1)]
        rows = []
        for course in compared.courses:
            whole = 0.0 if course.whole is None else course.whole.hours
            gap = end / STEPS  # the first point behind the end of a sweep still belongs to it
            rows.append([course.after_hours(h) if h < whole + gap else None for h in budgets])
        lines += _block(compared, f"best so far over {end:.2g} {compared.unit}-hours", rows)
    return lines


def _spaced(most: int) -> list[int]:
    """Numbers of trials from 1 to `most`, evenly spaced, at most `STEPS` of them."""
    if most <= STEPS:
        return list(range(1, most + 1))
    return sorted({round(1 + (most - 1) * step / (STEPS - 1)) for step in range(STEPS)})


def _block(compared: Comparison, title: str, rows: Sequence[Sequence[Best | None]]) -> list[str]:
    scores = [best.objective for row in rows for best in row if best is not None]
    if not scores:
        return []
    low, high = min(scores), max(scores)
    width = max(len(course.name) for course in compared.courses)
    lines = [f"{title}, {low:.4f} to {high:.4f}:"]
    for course, row in zip(compared.courses, rows, strict=True):
        curve = "".join(_letter(best, low, high) for best in row)
        begun = len(curve) - len(curve.lstrip(" "))
        lines.append(f"  {course.name:<{width}}  {'.' * begun}{curve.strip()}")
    return [*lines, ""]


def _letter(best: Best | None, low: float, high: float) -> str:
    if best is None:
        return " "
    levels = LEVELS if _shows(LEVELS) else PLAIN_LEVELS
    share = 1.0 if high == low else (best.objective - low) / (high - low)
    return levels[min(len(levels) - 1, int(share * len(levels)))]


def _shows(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeError):
        return False
    return True
