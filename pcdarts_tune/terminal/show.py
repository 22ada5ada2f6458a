"""A run, trial, sweep or model in words, for `show`.

print_subject(subject, home)        # on stdout: it is a result
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from pcdarts_tune.configuration.ranges import label
from pcdarts_tune.errors import visible
from pcdarts_tune.recording import naming

if TYPE_CHECKING:
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.lineage import Subject
    from pcdarts_tune.lineage_links import Link

MOST_LINKS = 12
"""Shown of what came of a run; the rest is counted."""


def print_subject(subject: Subject, home_flag: str) -> None:
    """Everything about it, sections without content left out."""
    state = f" ({subject.state}{': ' + subject.reason if subject.reason else ''})" if subject.state else ""
    click.echo(visible(f"{subject.name}{state}"))
    if subject.run_id is not None:
        click.echo(f"MLflow run {subject.run_id}")
    _section("result", [f"{key} = {number(value)}" for key, value in subject.results.items()])
    keys = naming.ordered_keys(subject.hyperparameters)
    _section("hyperparameters", [f"{key} = {_value(subject.hyperparameters[key])}" for key in keys])
    if subject.genotype is not None:
        cells = subject.genotype
        count = cells.skip_connections
        skips = f"{count} skip connection{'s' * (count != 1)} in the normal cell"
        _section(f"genotype {cells.canonical_hash()}, {skips}", genotype_lines(cells).values())
    _section("about", [f"{key}: {_value(value)}" for key, value in subject.about.items() if value])
    _section("came from", map(_link, subject.came_from))
    links = [_link(link) for link in subject.became]
    more = [f"... and {len(links) - MOST_LINKS} more (--json has all)"] if len(links) > MOST_LINKS else []
    _section("what came of it", links[:MOST_LINKS] + more)
    _section("go on", [f"{command}{home_flag}" for command in subject.commands])


def genotype_lines(genotype: Genotype) -> dict[str, str]:
    """A line for each node of both cells, keyed `normal node 0`; equal cells give equal lines, whatever their order."""
    lines = {}
    for kind, cell, concat in (
        ("normal", genotype.normal, genotype.normal_concat),
        ("reduce", genotype.reduce, genotype.reduce_concat),
    ):
        states = ["c_{k-2}", "c_{k-1}", *(f"node {i}" for i in range(len(cell) // 2))]
        for node in range(len(cell) // 2):
            pair = sorted(cell[2 * node : 2 * node + 2], key=lambda edge: (edge[1], edge[0]))
            text = " + ".join(f"{operation}({states[source]})" for operation, source in pair)
            lines[f"{kind} node {node}"] = f"{kind} node {node} = {text}"
        lines[f"{kind} output"] = f"{kind} output = concat({', '.join(states[i] for i in sorted(concat))})"
    return lines


def number(value: float) -> str:
    """`0.97220001` -> `0.9722`, `120931.0` -> `120,931`."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


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
