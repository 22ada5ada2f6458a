"""Parquet files of encoded images: a column `image` (bytes, or a struct with `bytes`) and a column `label`.

Class names come from the schema's metadata (`class_names`, or what Hugging Face's datasets writes), else they are the
labels themselves.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from pcdarts_tune.datasets.found import TEST, TRAIN, VALIDATION, Encoded, Found, role_of
from pcdarts_tune.datasets.parquet_source import ParquetSource, image_column, named_column, open_parquet
from pcdarts_tune.errors import UserError

LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")


def parquet_files(root: Path) -> list[Path]:
    """The parquet files that `root` is, or that lie in it or in its folders train, test or data, by name."""
    if root.is_file():
        return [root]
    folders = [root, *(path for path in root.iterdir() if path.is_dir() and _may_hold_files(path.name))]
    return sorted(path for folder in folders for path in folder.glob("*.parquet") if path.is_file())


def _may_hold_files(folder: str) -> bool:
    return folder.lower() in {"data", "default"} or role_of(folder) is not None


def find_parquet(root: Path, files: list[Path], prefer: str) -> Found:
    """Read schemas and labels; no image is decoded.

    Args:
        prefer: which set to take where a folder holds several (cifar10-train.parquet beside mnist-train.parquet).

    Raises:
        UserError: missing columns, labels that are none, files that are no parquet.
    """
    files, name = _one_set(root, files, prefer)
    roles: dict[str | None, list[Path]] = {}
    for path in files:
        words = path.relative_to(root).with_suffix("").as_posix() if path != root else path.stem
        roles.setdefault(role_of(words), []).append(path)
    single = len(files) == 1
    train = files if single else roles.get("train") or roles.get(None, [])
    test = [] if single else roles.get("test") or roles.get("validation") or []
    if not train:
        raise UserError(
            f"{root} holds no training images", hint="name the files train….parquet and test….parquet"
        )
    unread = sum(map(len, roles.values())) - len(train) - len(test)
    notes = (f"{unread} parquet files are neither train nor test and are not read",) if unread else ()
    first = _read_labels(train)
    second = _read_labels(test) if test else None
    classes, (first_labels, second_labels) = _classes(first, second)
    what = f"the parquet data {name!r}"
    found_test = (
        Encoded(ParquetSource(test), second_labels, _stamp(test)) if second_labels is not None else None
    )
    return Found(
        name, classes, Encoded(ParquetSource(train), first_labels, _stamp(train)), found_test, what, notes
    )


def _stamp(files: list[Path]) -> tuple[tuple[str, int, int], ...]:
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _one_set(root: Path, files: list[Path], prefer: str) -> tuple[list[Path], str]:
    """The files of one data set, by what their names begin with, and its name."""
    sets: dict[str, list[Path]] = {}
    for path in files:
        words = re.split(r"[^A-Za-z0-9]+", path.stem)
        skip = TRAIN | TEST | VALIDATION | {"of"}
        sets.setdefault("-".join(w for w in words if w.lower() not in skip and not w.isdigit()), []).append(
            path
        )
    if len(sets) == 1:
        only = next(iter(sets))
        return files, only or (root.stem if root.is_file() else root.name)
    if prefer in sets:
        return sets[prefer], prefer
    raise UserError(
        f"{root} holds parquet files of several data sets: {', '.join(sorted(sets))}",
        hint="give one file, or a folder with the train and test files of one set",
    )


def _read_labels(files: list[Path]) -> tuple[list[int] | list[str], tuple[str, ...]]:
    """Labels of all rows, and class names where the schema has them."""
    values: list[Any] = []
    names: tuple[str, ...] = ()
    for path in files:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            image_column(path, schema)
            column = named_column(path, schema, LABEL_COLUMNS, "labels")
            try:
                labels = file.read(columns=[column])[column]
            except (pa.ArrowException, OSError) as error:
                raise UserError(
                    f"cannot read the labels in {path}: {str(error).splitlines()[0]}",
                    hint="fetch or write the file again",
                ) from error
            kind = labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type
            if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise UserError(
                    f"column {column!r} of {path} holds {kind}",
                    hint="labels must be whole numbers from 0, or class names",
                )
            if labels.null_count:
                raise UserError(f"{labels.null_count} labels in {path} are missing", hint="remove these rows")
            values += labels.to_pylist()
            names = names or _names_in(schema, column)
    if not values:
        raise UserError(
            f"no rows in {', '.join(str(path) for path in files[:5])}", hint="there must be images in it"
        )
    if len({type(value) for value in values}) > 1:
        raise UserError(
            f"the labels are numbers in some and texts in others of {files[0]} and its like",
            hint="write all of them with one type: integers from 0, or the classes' names",
        )
    if not isinstance(values[0], str):
        _check_range(files[0], values, names)
    return values, names


def _check_range(path: Path, values: list[int], names: tuple[str, ...]) -> None:
    if min(values) < 0:
        raise UserError(
            f"{sum(value < 0 for value in values)} labels in {path} are negative (the least is {min(values)})",
            hint="labels are whole numbers from 0; -1 often marks images that have none: remove them",
        )
    if names and max(values) >= len(names):
        raise UserError(
            f"label {max(values)} in {path} has no name: class_names has {len(names)}, for 0..{len(names) - 1}",
            hint="complete class_names in the file's schema metadata, or correct the label",
        )
    if not names and max(values) >= max(len(values), 1000):
        raise UserError(
            f"label {max(values)} in {path}, in {len(values)} images, is hardly a class",
            hint="labels are whole numbers from 0 to the number of classes less one; is it a number of something else?",
        )


def _names_in(schema: pa.Schema, column: str) -> tuple[str, ...]:
    metadata = schema.metadata or {}
    if names := metadata.get(b"class_names"):
        return tuple(name.strip() for name in names.decode("utf-8", "replace").split(","))
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _classes(
    train: tuple[list[Any], tuple[str, ...]], test: tuple[list[Any], tuple[str, ...]] | None
) -> tuple[tuple[str, ...], tuple[Tensor, Tensor | None]]:
    """Class names in the order of their new labels, 0 on, and those labels."""
    values, names = train
    if test is not None and test[1] != names and names and test[1]:
        raise UserError(
            "the train and test files name their classes differently",
            hint="write both with the same class_names",
        )
    order: list[Any] = (
        list(range(len(names))) if names and not isinstance(values[0], str) else sorted(set(values))
    )
    place = {value: index for index, value in enumerate(order)}
    if test is not None and (extra := sorted(set(test[0]) - set(place), key=str)):
        raise UserError(
            f"the test file has labels that the train file has not: {', '.join(map(str, extra[:5]))}",
            hint="images of these classes for training too, or take them out of the test file",
        )
    classes = names if names and not isinstance(values[0], str) else tuple(str(value) for value in order)

    def relabelled(values: list[Any]) -> Tensor:
        return torch.tensor([place[value] for value in values], dtype=torch.int64)

    return classes, (relabelled(train[0]), relabelled(test[0]) if test else None)
