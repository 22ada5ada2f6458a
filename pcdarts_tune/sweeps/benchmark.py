"""Cells whose accuracies are known, from a published table: what stands beside trials, and what no sampler sees.

    table = Benchmark.read(Path("nasbench201.csv.gz"))
    table.known(genotype)               # {"cifar10_val200": 90.779, "params_M": 0.802426, ...}, or None

`cell_rows` has the form of the file. Every column of numbers is read. Columns that end in `_s0`, `_s1`, ... are seeds of one
number, which is the mean of those that a row has.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdarts_tune.core.genotype import AnyGenotype
from pcdarts_tune.errors import UserError, nearest, one_line
from pcdarts_tune.places import Place
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.sweeps.cell_rows import CELLS, FORM, NOT_NUMBERS, Row, parse_number, read_cell, read_rows

FILE = "benchmark.json"
"""What a sweep whose objective is the benchmark keeps of it, beside its evaluations."""
_SEED = re.compile(r"(.+)_s\d+")


@dataclass(frozen=True)
class Benchmark:
    """A table.

    Attributes:
        source: the file.
        columns: the numbers, seeds joined.
        averaged: those columns that are means over seeds.
        cells: the numbers by the hash of the genotype.
    """

    source: Path
    columns: tuple[str, ...]
    averaged: tuple[str, ...]
    cells: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, path: Path) -> Benchmark:
        """Read a table.

        Raises:
            UserError: the file cannot be read, or is not such a file, with its line.
        """
        rows = read_rows(path)
        names = [name for name in rows[0].values if name not in CELLS and name not in NOT_NUMBERS]
        parts: dict[str, list[str]] = {}
        for name in names:
            seed = _SEED.fullmatch(name)
            parts.setdefault(seed[1] if seed else name, []).append(name)
        cells = {}
        for row in rows:
            try:
                key = read_cell(row.values).canonical_hash()
            except (ValueError, RecursionError) as error:
                raise UserError(f"{row.where}: {one_line(error)}", hint=FORM) from None
            cells[key] = _numbers(row, parts)
        columns = tuple(name for name in parts if any(name in numbers for numbers in cells.values()))
        if not columns:
            raise UserError(f"{path}: no column holds numbers", hint=FORM)
        averaged = tuple(name for name in columns if _SEED.fullmatch(parts[name][0]))
        return cls(path, columns, averaged, cells)

    def known(self, genotype: AnyGenotype) -> dict[str, float] | None:
        """All that the table says of a cell; None where it does not have it."""
        found = self.cells.get(genotype.canonical_hash())
        return None if found is None else dict(found)

    def choose(self, truth: str | None = None) -> tuple[str, ...]:
        """The columns to show: those named, else the means over seeds, else all.

        Raises:
            UserError: there is no such column.
        """
        if truth is None:
            return self.averaged or self.columns
        wanted = tuple(name.strip() for name in truth.split(","))
        for name in wanted:
            if name not in self.columns:
                there = ", ".join(self.columns)
                message = (
                    f"{self.source} has no column {name!r}{nearest(name, self.columns)}; there are {there}"
                )
                raise UserError(message, hint="--truth COLUMN, or several, separated by commas")
        return wanted

    def objective_column(self, dataset: str, truth: str | None = None) -> str:
        """The column that a sweep over a data set aims at: the one named, else the mean over seeds of that data set.

        Raises:
            UserError: no column is the one, or several are.
        """
        named = truth is not None
        found = [name for name in self.choose(truth) if named or f"{name}_".startswith(f"{dataset}_")]
        if len(found) != 1:
            columns = ", ".join(found or self.columns)
            raise UserError(
                f"{self.source}: which column is to be maximised? {columns}", hint="--truth COLUMN"
            )
        return found[0]

    def keep(self, column: str, place: Place) -> None:
        """Write what trials look up: the column as shares of 1, by the hash of the genotype."""
        values = {key: numbers[column] for key, numbers in self.cells.items() if column in numbers}
        percent = max(values.values()) > 1
        shares = {key: value / 100 if percent else value for key, value in values.items()}
        place.write(FILE, [json.dumps({"column": column, "cells": shares}).encode()])


def read_benchmark(path: Path | None, truth: str | None) -> tuple[Benchmark | None, tuple[str, ...]]:
    """A table and its columns to show; None and no columns where none is given.

    Raises:
        UserError: the file cannot be read, is not such a file, or has no such column.
    """
    if path is None:
        if truth is not None:
            raise UserError(f"--truth {truth} names a column of no file", hint="--benchmark FILE")
        return None, ()
    table = Benchmark.read(path)
    return table, table.choose(truth)


def read_objective(space: Space, path: Path | None, truth: str | None) -> tuple[Benchmark, str] | None:
    """The table and the column that a sweep of the space aims at; None where its objective is a score.

    Raises:
        UserError: the objective is a table, and none is given; or one is given for another objective; or it is not such a
            file; or it is not clear which column is meant.
    """
    if space.objective != BENCHMARK:
        if path is not None or truth is not None:
            raise UserError(
                f"--benchmark is for --objective benchmark, and the objective is {space.objective}",
                hint="to see known accuracies beside the trials: pcdarts-tune leaderboard SWEEP --benchmark FILE",
            )
        return None
    if path is None:
        raise UserError("--objective benchmark needs a table of known accuracies", hint="--benchmark FILE")
    table = Benchmark.read(path)
    return table, table.objective_column(space.data.dataset, truth)


def copy_kept(source: Place, target: Place) -> None:
    """Take over what a sweep keeps of its benchmark, where it keeps something."""
    if (data := source.read(FILE)) is not None:
        target.write(FILE, [data])


def look_up(place: Place, genotype: AnyGenotype) -> tuple[str, float]:
    """The column and its value, a share of 1, that a sweep keeps of its benchmark for a genotype.

    Raises:
        UserError: the sweep keeps none.
        ValueError: the benchmark does not have the cell.
    """
    if (data := place.read(FILE)) is None:
        raise UserError(
            "the objective is benchmark, and the sweep keeps no table",
            hint="sweep --objective benchmark --benchmark FILE",
        )
    kept = json.loads(data)
    if (value := kept["cells"].get(genotype.canonical_hash())) is None:
        raise ValueError(f"the benchmark has no value of this cell: {json.dumps(genotype.to_dict())}")
    return kept["column"], float(value)


def _numbers(row: Row, parts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The row's numbers by column; a mean over the seeds that it has."""
    found = {}
    for name, columns in parts.items():
        values = [value for column in columns if (value := parse_number(row.values.get(column))) is not None]
        if values:
            found[name] = math.fsum(values) / len(values)
    return found
