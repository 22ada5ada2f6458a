"""Settings that a sweep tries first, from a file: a list of them as JSON or YAML, or a CSV table with a column for each key.

    queued = read_queue(Path("tries.csv"), space)       # [{"supernet.k": 4, "search.learning_rate": 0.1}, ...]

Each gives a value for some of the keys that the space tunes; Optuna draws the others. What `leaderboard --json` prints is such a
list too: its `hyperparameters` are taken.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import LARGEST, read_bytes
from pcdarts_tune.spaces.keys import flatten, leaves, lookup
from pcdarts_tune.spaces.ranges import ConditionalRange, Range, resolve
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import dependency_order, optuna_name
from pcdarts_tune.spaces.values import KeyPath, label
from pcdarts_tune.spaces.yaml_lines import parse_scalar, read_yaml

MOST_SHOWN = 10
Row = tuple[int, Mapping[str, Any]]
"""Its line, and key -> value."""


def read_queue(file: Path, space: Space) -> list[dict[str, Any]]:
    """The settings in a file, under Optuna's names, in their order.

    Raises:
        UserError: it cannot be read, or is no such list; every key that the space does not tune and every value outside its
            range, with their lines.
    """
    try:
        content = read_bytes(file, LARGEST)
    except OSError as error:
        raise UserError(f"--enqueue {file}: {error.strerror or error}", hint="give another file") from None
    rows = list(_csv_rows(file, content) if file.suffix.lower() == ".csv" else _listed_rows(file, content))
    mistakes: list[str] = []
    queued = []
    for line, row in rows:
        found, wrong = _check(row, space)
        queued.append(found)
        mistakes += [f"{file}:{line}: {text}" for text in wrong]
    if mistakes:
        more = [f"and {len(mistakes) - MOST_SHOWN} more"] * (len(mistakes) > MOST_SHOWN)
        raise UserError(
            "\n".join([*mistakes[:MOST_SHOWN], *more]),
            hint=f"the space tunes {', '.join(space.tune) or 'nothing'}; pcdarts-tune spaces shows the ranges",
        )
    if not queued:
        raise UserError(f"{file} holds no settings", hint="a list, each of them such as {supernet.k: 4}")
    return queued


def _csv_rows(file: Path, content: bytes) -> Iterator[Row]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        titles = [title.strip() for title in next(reader, [])]
        for cells in reader:
            if len(cells) > len(titles):
                raise UserError(
                    f"{file}:{reader.line_num}: {len(cells)} values for {len(titles)} columns",
                    hint="the first line names the keys, such as supernet.k,search.learning_rate",
                )
            texts = {key: cell.strip() for key, cell in zip(titles, cells, strict=False)}
            if any(texts.values()):  # an empty cell leaves the value to Optuna
                yield reader.line_num, {key: parse_scalar(text) for key, text in texts.items() if text}
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{file} cannot be read as CSV: {error}", hint="save it as CSV in UTF-8") from None


def _listed_rows(file: Path, content: bytes) -> Iterator[Row]:
    data, lines = _read_data(file, content)
    if not isinstance(data, list):
        raise UserError(f"{file} is no list of settings", hint="- {supernet.k: 4, search.learning_rate: 0.1}")
    for at, item in enumerate(data):
        line = lines.get((at,), 1)
        if not isinstance(item, dict):
            raise UserError(f"{file}:{line}: {label(item)} is no setting", hint="such as {supernet.k: 4}")
        settings = item.get("hyperparameters", item)
        if not isinstance(settings, dict):
            raise UserError(
                f"{file}:{line}: hyperparameters: {label(settings)} is no setting", hint="{supernet.k: 4}"
            )
        yield line, flatten(settings)


def _read_data(file: Path, content: bytes) -> tuple[Any, Mapping[KeyPath, int]]:
    """What is in a JSON or YAML file, and the lines of its parts."""
    if not content.strip():
        raise UserError(f"{file} holds no settings", hint="a list, each of them such as {supernet.k: 4}")
    if file.suffix.lower() != ".json":
        return read_yaml(content, str(file))
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}", hint="write it again") from None
    try:
        return data, read_yaml(content, str(file))[1]
    except UserError:  # JSON all the same: indented with tabs, or larger than a space may be
        return data, {}


def _check(row: Mapping[str, Any], space: Space) -> tuple[dict[str, Any], list[str]]:
    """The row under Optuna's names, and what is wrong with it."""
    found: dict[str, Any] = {}
    wrong = [
        text for key, value in row.items() if key not in space.tune and (text := _untuned(key, value, space))
    ]
    for key in dependency_order(space.tune):
        if key not in row:
            continue
        item, value = space.tune[key], row[key]
        if isinstance(item, ConditionalRange) and item.by not in row:
            wrong.append(f"{key} depends on {item.by}: give that too")
            continue
        text, value = _fit(key, item, value, row)
        if text is not None:
            wrong.append(text)
        else:
            found[optuna_name(key, item, row)] = value
    return found, wrong


def _fit(key: str, item: Range, value: Any, row: Mapping[str, Any]) -> tuple[str | None, Any]:
    """What is wrong with a value, and the value as Optuna takes it."""
    try:
        concrete = resolve(item, row)
    except KeyError as error:
        return f"{key}: there is no range for the value {error} of the key that it depends on", value
    if type(value) is int and concrete.type == "float":
        value = float(value)
    if not concrete.contains(value):
        return f"{key}: {label(value)} lies outside its range, {concrete}", value
    return None, value


def _untuned(key: str, value: Any, space: Space) -> str | None:
    """What is wrong with a key that is not tuned; None where the space has the same value."""
    if key not in leaves(Space):
        return f"no key {key!r}{nearest(key, space.tune)}"
    fixed = lookup(space, key)
    if fixed == value:
        return None
    return f"{key} is {label(fixed)} in this space, and not tuned: --set {key}={label(value)} sets it for all trials"
