"""Cells whose accuracy is known, from a CSV file (also .csv.gz) or a JSON list of objects.

    read_cells(Path("cells.csv.gz"), truth="test_e600")[0].truth        # 97.02

A row has a cell and a number. The cell is a column `genotype` (genotype JSON, a published name, or a NAS-Bench-201 string),
`arch` (a NAS-Bench-201 string), or `normal` and `reduce` (`operation:input` pairs, two a node). A column `cell` names it. Rows of
the same cell count as one, with the mean of their numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import AnyGenotype
from pcdarts_tune.errors import UserError, nearest, one_line
from pcdarts_tune.sweeps.cell_rows import (
    CELLS,
    FORM,
    NAMES,
    NOT_NUMBERS,
    Row,
    are_numbers,
    parse_number,
    read_cell,
    read_rows,
)

TRUTH = "accuracy"
"""The column of the known number where none is named."""
MOST = 3000
"""Cells at most: their resamples are compared pair by pair."""


@dataclass(frozen=True)
class Cell:
    """A genotype with the accuracy, in whatever unit, that it is known to reach: high is good."""

    name: str
    genotype: AnyGenotype
    truth: float


def read_cells(path: Path, truth: str | None = None, limit: int | None = None) -> list[Cell]:
    """The cells in a file.

    Args:
        truth: the column with the known accuracy, or several, separated by commas, of which the mean is taken; None for
            `accuracy`, or the only column of numbers.
        limit: take so many cells, drawn at random with seed 0: fewer are a part of more.

    Raises:
        UserError: the file cannot be read, or is not such a file, with its line.
    """
    rows = read_rows(path)
    columns = _choose_truth(path, rows, truth)
    found: dict[str, list[Cell]] = {}
    for number, row in enumerate(sample(rows, limit)):
        try:
            genotype = read_cell(row.values)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{row.where}: {one_line(error)}", hint=FORM) from None
        truths = _numbers(row, columns)
        name = next(
            (str(row.values[key]) for key in NAMES if row.values.get(key) not in (None, "")), str(number)
        )
        found.setdefault(genotype.canonical_hash(), []).append(
            Cell(name, genotype, math.fsum(truths) / len(truths))
        )
    cells = [
        Cell(rows[0].name, rows[0].genotype, math.fsum(row.truth for row in rows) / len(rows))
        for rows in found.values()
    ]
    _check_names(path, cells)
    return cells


def _check_names(path: Path, cells: Sequence[Cell]) -> None:
    names = [cell.name for cell in cells]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{path}: two different cells are called {twice[0]!r}", hint="give each a name of its own"
        )


def sample(rows: Sequence[Any], limit: int | None) -> list[Any]:
    """`limit` of the rows, drawn at random with seed 0: the smaller draw is the beginning of the larger one.

    Raises:
        UserError: there are too many rows, or fewer than two.
    """
    drawn = random.Random(0).sample(list(rows), len(rows))[: len(rows) if limit is None else limit]
    if len(drawn) > MOST:
        raise UserError(f"{len(drawn):,} cells; at most {MOST:,} can be ranked", hint=f"--limit {MOST}")
    if len(drawn) < 2:
        raise UserError(f"{len(drawn)} cell cannot be ranked", hint="give two and more, better 30")
    return drawn


def _choose_truth(path: Path, rows: Sequence[Row], truth: str | None) -> list[str]:
    """The columns whose mean is the known number."""
    names = [name for name in rows[0].values if name not in CELLS]
    if truth is not None:
        wanted = [name.strip() for name in truth.split(",")]
        if wrong := [name for name in wanted if name not in names]:
            there = ", ".join(names) or "none"
            message = f"{path} has no column {wrong[0]!r}{nearest(wrong[0], names)}; there are {there}"
            raise UserError(message, hint="--truth COLUMN, or COLUMN,COLUMN for their mean")
        return wanted
    if TRUTH in names:
        return [TRUTH]
    numeric = [
        name
        for name in names
        if name not in NOT_NUMBERS and are_numbers(row.values.get(name) for row in rows)
    ]
    if len(numeric) == 1:
        return numeric
    there = f"columns of numbers: {', '.join(numeric)}" if numeric else "no column of numbers"
    raise UserError(
        f"{path}: which column is the known accuracy? There is no {TRUTH!r}; {there}",
        hint=f"--truth {numeric[-1]}" if numeric else FORM,
    )


def _numbers(row: Row, columns: Sequence[str]) -> list[float]:
    """The known numbers of a row: of several columns those that are filled, one at least."""
    given = {column: row.values.get(column) for column in columns}
    filled = {column: value for column, value in given.items() if value not in (None, "")} or given
    numbers = []
    for column, value in filled.items():
        if (number := parse_number(value)) is None:
            raise UserError(f"{row.where}: {column} is {str(value)[:40]!r}, not a finite number", hint=FORM)
        numbers.append(number)
    return numbers
