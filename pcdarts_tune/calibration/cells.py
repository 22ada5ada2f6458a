"""Cells whose accuracy is known, from a CSV file (also .csv.gz) or a JSON list of objects.

    read_cells(Path("cells.csv.gz"), truth="test_e600")[0].truth        # 97.02

A row has a cell and a number. The cell is a column `genotype` (genotype JSON, a published name, or a NAS-Bench-201 string),
`arch` (a NAS-Bench-201 string), or `normal` and `reduce` (`operation:input` pairs, two a node). A column `cell` names it. Rows of
the same cell count as one, with the mean of their numbers.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import PUBLISHED, AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError, nearest, one_line
from pcdarts_tune.files import LARGEST, read_bytes

TRUTH = "accuracy"
"""The column of the known number where none is named."""
NAMES = ("cell", "name", "index")
"""Columns that name a cell, the first that there is."""
NOT_NUMBERS = (*NAMES, "key", "seed")
"""Columns that are no accuracy, whatever they hold."""
CELLS = ("genotype", "arch", "normal", "reduce")
MOST = 3000
"""Cells at most: their resamples are compared pair by pair."""
FORM = "docs/calibration.md#the-file-of-cells has the form of the file"


@dataclass(frozen=True)
class Cell:
    """A genotype with the accuracy, in whatever unit, that it is known to reach: high is good."""

    name: str
    genotype: AnyGenotype
    truth: float


@dataclass(frozen=True)
class _Row:
    where: str
    values: Mapping[str, Any]


def read_cells(path: Path, truth: str | None = None, limit: int | None = None) -> list[Cell]:
    """The cells in a file.

    Args:
        truth: the column with the known accuracy, or several, separated by commas, of which the mean is taken; None for
            `accuracy`, or the only column of numbers.
        limit: take so many cells, drawn at random with seed 0: fewer are a part of more.

    Raises:
        UserError: the file cannot be read, or is not such a file, with its line.
    """
    rows = _read_rows(path)
    columns = _choose_truth(path, rows, truth)
    found: dict[str, list[Cell]] = {}
    for number, row in enumerate(sample(rows, limit)):
        try:
            genotype = _read_genotype(row.values)
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


def _read_rows(path: Path) -> list[_Row]:
    try:
        content = read_bytes(path, LARGEST)
        if content[:2] == b"\x1f\x8b":
            content = _unpack(path, content)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}", hint=FORM) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text", hint="save the file as UTF-8") from None
    rows = _read_json(path, text) if text.lstrip()[:1] in ("[", "{") else _read_csv(path, text)
    if not rows:
        raise UserError(f"{path} holds no cells", hint=FORM)
    present = rows[0].values
    if not any(name in present for name in ("genotype", "arch")) and not {"normal", "reduce"} <= set(present):
        raise UserError(
            f"{rows[0].where}: no column holds a cell; there are {', '.join(map(str, present))}; legal: genotype, arch, or "
            "normal and reduce",
            hint=FORM,
        )
    return rows


def _unpack(path: Path, content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked: {one_line(error)}", hint=FORM) from None
    if len(unpacked) > LARGEST:
        raise UserError(
            f"{path} holds more than {LARGEST:,} bytes", hint="give the rows that are to be ranked"
        )
    return unpacked


def _read_csv(path: Path, text: str) -> list[_Row]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = [name.strip() for name in next(reader, [])]
        if len(set(head)) < len(head) or not all(head):
            raise UserError(f"{path}:1: columns need names, each its own; here {', '.join(head)}", hint=FORM)
        rows = []
        for values in reader:
            if not values:
                continue
            where = f"{path}:{reader.line_num}"
            if len(values) != len(head):
                raise UserError(
                    f"{where}: {len(values)} values, and {len(head)} columns: {', '.join(head)}", hint=FORM
                )
            rows.append(_Row(where, dict(zip(head, (value.strip() for value in values), strict=True))))
        return rows
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}", hint=FORM) from None


def _read_json(path: Path, text: str) -> list[_Row]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg}", hint=FORM) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {one_line(error)}", hint=FORM) from None
    if not isinstance(value, list):
        raise UserError(f"{path}: a list of objects is needed, [{{…}}, …]", hint=FORM)
    rows = []
    for number, item in enumerate(value, 1):
        if not isinstance(item, dict):
            raise UserError(f"{path}: item {number} is no object", hint=FORM)
        rows.append(_Row(f"{path}: item {number}", item))
    return rows


def _choose_truth(path: Path, rows: Sequence[_Row], truth: str | None) -> list[str]:
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
        if name not in NOT_NUMBERS and _are_numbers(row.values.get(name) for row in rows)
    ]
    if len(numeric) == 1:
        return numeric
    there = f"columns of numbers: {', '.join(numeric)}" if numeric else "no column of numbers"
    raise UserError(
        f"{path}: which column is the known accuracy? There is no {TRUTH!r}; {there}",
        hint=f"--truth {numeric[-1]}" if numeric else FORM,
    )


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(_parse(value) is not None for value in values)


def _parse(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _numbers(row: _Row, columns: Sequence[str]) -> list[float]:
    """The known numbers of a row: of several columns those that are filled, one at least."""
    given = {column: row.values.get(column) for column in columns}
    filled = {column: value for column, value in given.items() if value not in (None, "")} or given
    numbers = []
    for column, value in filled.items():
        if (number := _parse(value)) is None:
            raise UserError(f"{row.where}: {column} is {str(value)[:40]!r}, not a finite number", hint=FORM)
        numbers.append(number)
    return numbers


def _read_genotype(values: Mapping[str, Any]) -> AnyGenotype:
    """The cell of a row. Raises ValueError: saying what is wrong with it."""
    if (given := values.get("genotype") or values.get("arch")) is None:
        cells = {name: _read_pairs(name, values.get(name)) for name in ("normal", "reduce")}
        concat = {f"{name}_concat": list(range(2, len(cell) // 2 + 2)) for name, cell in cells.items()}
        return read_genotype({**cells, **concat})
    if isinstance(given, str):
        if given in PUBLISHED:
            return PUBLISHED[given]
        if given.lstrip()[:1] == "{":
            given = json.loads(given)
        elif not given.startswith("|"):
            legal = f"genotype JSON, a NAS-Bench-201 string |…|, {', '.join(PUBLISHED)}"
            raise ValueError(f"{given[:60]!r} is no genotype{nearest(given, PUBLISHED)}; legal: {legal}")
    return read_genotype(given)


def _read_pairs(name: str, text: Any) -> list[list[Any]]:
    """`sep_conv_3x3:0 skip_connect:1 …` as edges."""
    edges: list[list[Any]] = []
    for pair in str(text or "").split():
        operation, colon, source = pair.rpartition(":")
        if not colon or not source.isascii() or not source.isdigit():
            raise ValueError(f"{name}: {pair!r} is not operation:input, such as sep_conv_3x3:0")
        edges.append([operation, int(source)])
    return edges
