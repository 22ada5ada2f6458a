"""A run, trial, sweep or model in words, and two of them side by side: what `show` and `diff` print."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from pcdarts_tune.core.genotype import FAMILIES
from pcdarts_tune.drawing import cells as draw
from pcdarts_tune.errors import UserError, nearest, visible
from pcdarts_tune.files import write_output
from pcdarts_tune.lineage.describe import Differences, Pair, Subject, genotype_lines
from pcdarts_tune.lineage.record import Link
from pcdarts_tune.say import print_table
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.values import label

MOST_LINKS = 12
"""Shown of what came of a run; the rest is counted."""


def print_subject(subject: Subject, home_flag: str) -> None:
    """Everything about it, sections without content left out."""
    state = f" ({subject.state}{': ' + subject.reason if subject.reason else ''})" if subject.state else ""
    click.echo(visible(f"{subject.name}{state}"))
    if subject.run_id is not None:
        click.echo(f"MLflow run {subject.run_id}")
    _section("note", subject.note.splitlines())
    _section("tags", [f"{key} = {value}" for key, value in subject.tags.items()])
    _section("result", [f"{key} = {naming.format_number(value)}" for key, value in subject.results.items()])
    keys = naming.ordered_keys(subject.hyperparameters)
    _section("hyperparameters", [f"{key} = {_value(subject.hyperparameters[key])}" for key in keys])
    if subject.genotype is not None:
        cells = subject.genotype
        count = cells.skip_connections
        skips = f"{count} skip connection{'s' * (count != 1)} in the {FAMILIES[cells.family].skips_in}"
        lines = [f"{node} = {edges}" for node, edges in genotype_lines(cells).items()]
        _section(f"genotype {cells.canonical_hash()}, {skips}", lines)
    _section("about", [f"{key}: {_value(value)}" for key, value in subject.about.items() if value])
    _section("came from", map(_link, subject.came_from))
    links = [_link(link) for link in subject.became]
    more = [f"... and {len(links) - MOST_LINKS} more (--json has all)"] if len(links) > MOST_LINKS else []
    _section("what came of it", links[:MOST_LINKS] + more)
    _section("go on", [f"{command}{home_flag}" for command in subject.next])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return label(value) if isinstance(value, bool | int | float | str) else str(value)


def _link(link: Link) -> str:
    run = f"  run {link.run_id[:12]}" if link.run_id else ""
    name = link.name if link.name.startswith(link.kind) else f"{link.kind} {link.name}"
    return f"{name}{': ' if link.what else ''}{link.what}{run}"


def _section(title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        click.echo(f"\n{title}:")
        for line in lines:
            click.echo(visible(f"  {line}"))


def print_differences(found: Differences) -> None:
    """On stdout."""
    click.echo(visible(f"A: {found.a.name}"))
    click.echo(visible(f"B: {found.b.name}"))
    if found.settings:
        _table("settings that differ", found.settings)
    click.echo(f"\n{found.alike} settings are equal" if found.alike else "\nno settings in common")
    if found.results:
        _table("results", found.results, difference=True)
    if found.genotype:
        _table("cells that differ", found.genotype)
    elif found.genotype is not None:
        click.echo("\nthe genotypes are equal")
    if found.about:
        _table("otherwise", found.about)


def draw_difference(a: Subject, b: Subject, output: Path) -> None:
    """Both genotypes in one picture, whole or not at all.

    Raises:
        UserError: when one has no genotype, or for a suffix that is no picture's.
    """
    if a.genotype is None or b.genotype is None:
        lacking = a if a.genotype is None else b
        hint = "a trial that is complete, or a retraining"
        raise UserError(f"{lacking.name} has no genotype to draw", hint=hint)
    words = [subject.reference for subject in (a, b)]
    first, second = (word if len(word) <= 24 else f"{word[:12]}…" for word in words)
    suffix, suffixes = output.suffix.lower(), (".svg", ".png")
    if suffix not in suffixes:
        raise UserError(
            f"cannot tell from {output.name!r} what to draw; the name must end in {' or '.join(suffixes)}"
            f"{nearest(suffix, suffixes)}",
            hint=f"-o {output.with_suffix('.svg').name}",
        )
    make = draw.genotype_diff_svg if suffix == ".svg" else draw.genotype_diff_png
    write_output(output, make(a.genotype, b.genotype, names=(first, second)))


def _table(title: str, pairs: dict[str, Pair], *, difference: bool = False) -> None:
    rows = []
    for key, (a, b) in pairs.items():
        by = "" if a is None or b is None else f"{b - a:+.4g}" if difference and b != a else "0"
        rows.append([f"  {key}", _text(key, a), _text(key, b), *([by] if difference else [])])
    click.echo(f"\n{title}:")
    columns = ["", "A", "B", *(["B - A"] if difference else [])]
    print_table(columns, rows, left=1 if difference else 3, wrap=True)


def _text(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if "seed" in key:  # a name, which no command would take with commas
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return naming.format_number(value)
    return visible(str(value))
