"""Rows of a file of cells: a CSV file (also .csv.gz) or a JSON list of objects, each with a cell and numbers.

    for row in read_rows(Path("cells.csv.gz")):
        read_cell(row.values), row.values["accuracy"]

The cell is a column `genotype` (genotype JSON, a published name, `Genotype(…)`, or a NAS-Bench-201 string), `arch` (a
NAS-Bench-201 string), or `normal` and `reduce` (`operation:input` pairs, two a node).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import FAMILIES, PUBLISHED, AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError, nearest, one_line
from pcdarts_tune.files import LARGEST, read_bytes

NAMES = ("cell", "name", "index")
"""Columns that name a cell, the first that there is."""
NOT_NUMBERS = (*NAMES, "key", "seed")
"""Columns that are no accuracy, whatever they hold."""
CELLS = ("genotype", "arch", "normal", "reduce")
FORM = "docs/calibration.md#the-file-of-cells has the form of the file"


@dataclass(frozen=True)
class Row:
    """A row, and where it stands in its file."""

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Raises UserError: the file cannot be read, or is not such a file, with its line."""
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


def _read_csv(path: Path, text: str) -> list[Row]:
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
            rows.append(Row(where, dict(zip(head, (value.strip() for value in values), strict=True))))
        return rows
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}", hint=FORM) from None


def _read_json(path: Path, text: str) -> list[Row]:
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
        rows.append(Row(f"{path}: item {number}", item))
    return rows


def are_numbers(values: Iterable[Any]) -> bool:
    return all(parse_number(value) is not None for value in values)


def parse_number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_cell(values: Mapping[str, Any]) -> AnyGenotype:
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
        elif not any(family.recognizes(given) for family in FAMILIES.values()):
            legal = f"genotype JSON, Genotype(…), a NAS-Bench-201 string |…|, {', '.join(PUBLISHED)}"
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
