"""Parquet files of encoded images: a column `image` (bytes, or a struct with `bytes`) and a column `label`.

    find_parquet(root, parquet_files(root), "cifar10").train.source.read(7)      # the bytes of the eighth image

Class names come from the schema's metadata (`class_names`, or what Hugging Face's datasets writes), else they are the
labels themselves.
"""

from __future__ import annotations

import bisect
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcdarts_tune.datasets.encoded import ROLES, EncodedSet, EncodedSplit, role_of, stamp_of
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import replace_when_written

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        reason = "the file is empty" if not path.stat().st_size else str(error).splitlines()[0]
        raise UserError(
            f"{path} is no readable parquet file: {reason}", hint="write it again, or remove it"
        ) from error


def _column(path: Path, schema: pa.Schema, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in schema.names:
            return name
    raise UserError(
        f"{path} has no column for the {what}; its columns are {', '.join(schema.names) or 'none'}",
        hint=f"name the column {names[0]!r} (also read: {', '.join(names[1:])})",
    )


def _image_column(path: Path, schema: pa.Schema) -> tuple[str, bool]:
    """The name of the image column, and whether it is a struct that holds the bytes."""
    name = _column(path, schema, IMAGE_COLUMNS, "images")
    kind = schema.field(name).type
    nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    inner = kind.field("bytes").type if nested else kind
    if not (pa.types.is_binary(inner) or pa.types.is_large_binary(inner)):
        raise UserError(
            f"column {name!r} of {path} holds {kind}, not encoded images",
            hint="it must hold the bytes of image files (JPEG, PNG), or a struct with a field 'bytes' of them",
        )
    return name, nested


class ParquetSource:
    """Encoded images by row; rows near each other are cheap, as a row group is read at a time."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.groups: list[tuple[int, int, int]] = []  # (first row, file, row group)
        row = 0
        for number, path in enumerate(files):
            with _open(path) as file:
                for group in range(file.metadata.num_row_groups):
                    self.groups.append((row, number, group))
                    row += file.metadata.row_group(group).num_rows
        self.count = row
        self._held: tuple[int, list[bytes | None]] = (-1, [])  # a row group and its images

    def __len__(self) -> int:
        return self.count

    def _place(self, row: int) -> int:
        return bisect.bisect_right(self.groups, row, key=lambda group: group[0]) - 1

    def read(self, row: int) -> bytes:
        place = self._place(row)
        if self._held[0] != place:
            self._held = (place, self._read_group(*self.groups[place][1:]))
        return self._held[1][row - self.groups[place][0]] or b""

    def _read_group(self, number: int, group: int) -> list[bytes | None]:
        path = self.files[number]
        try:
            with pq.ParquetFile(path) as file:
                name, nested = _image_column(path, file.schema_arrow)
                table = file.read_row_group(group, columns=[f"{name}.bytes" if nested else name])
        except pa.ArrowException as error:
            raise OSError(f"row group {group} is damaged: {str(error).splitlines()[0]}") from error
        values: list[Any] = table[name].to_pylist()
        return [value["bytes"] if value else None for value in values] if nested else values

    def name(self, row: int) -> str:
        number = self.groups[self._place(row)][1]
        start = next(first for first, file, _ in self.groups if file == number)
        return f"{self.files[number].name} row {row - start}"


class BlobSource:
    """The encoded images of a parquet set one after the other in one file: any row can be read on its own."""

    def __init__(self, source: ParquetSource, path: Path) -> None:
        """Copy the encoded images to `path`, whole or not at all; what is there already is used."""
        index = path.with_suffix(".index")
        if not (path.is_file() and index.is_file()):
            lengths = [0]
            with replace_when_written(path) as part, open(part, "wb") as file:
                for row in range(len(source)):
                    lengths.append(file.write(source.read(row)))
            with replace_when_written(index) as part:
                save_file({"ends": torch.tensor(lengths).cumsum(0)}, part)
        self.path, self.ends = path, load_file(index)["ends"]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def read(self, row: int) -> bytes:
        start, end = int(self.ends[row]), int(self.ends[row + 1])
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def name(self, row: int) -> str:
        return f"row {row}"


def parquet_files(root: Path) -> list[Path]:
    """The parquet files that `root` is, or that lie in it or in its folders train, test or data, by name."""
    if root.is_file():
        return [root]
    folders = [root]
    for path in root.iterdir():
        if path.is_dir() and (path.name.lower() in {"data", "default"} or role_of(path.name)):
            folders.append(path)
    return sorted(path for folder in folders for path in folder.glob("*.parquet") if path.is_file())


def find_parquet(root: Path, files: list[Path], prefer: str) -> EncodedSet:
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
    if len(files) == 1:
        roles = {"train": files}
    train = roles.get("train") or roles.get(None, [])
    test = roles.get("test") or roles.get("validation") or []
    if not train:
        raise UserError(
            f"{root} holds no training images", hint="name the files train….parquet and test….parquet"
        )
    unread = sum(map(len, roles.values())) - len(train) - len(test)
    notes = (f"{unread} parquet files are neither train nor test and are not read",) if unread else ()
    groups = [train, test] if test else [train]
    classes, labels = _number_classes(*map(_read_labels, groups))
    splits = [
        EncodedSplit(ParquetSource(paths), part, tuple(stamp_of(path.name, path.stat()) for path in paths))
        for paths, part in zip(groups, labels, strict=True)
    ]
    what = f"the parquet data {name!r}"
    return EncodedSet(name, classes, splits[0], splits[1] if test else None, what, notes)


def _one_set(root: Path, files: list[Path], prefer: str) -> tuple[list[Path], str]:
    """The files of one data set, by what their names begin with, and its name."""
    sets: dict[str, list[Path]] = {}
    skip = {"of"}.union(*ROLES.values())
    for path in files:
        words = re.split(r"[^A-Za-z0-9]+", path.stem)
        named = [word for word in words if word.lower() not in skip and not word.isdigit()]
        sets.setdefault("-".join(named), []).append(path)
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
        with _open(path) as file:
            schema = file.schema_arrow
            _image_column(path, schema)
            column = _column(path, schema, LABEL_COLUMNS, "labels")
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


def _number_classes(
    train: tuple[list[Any], tuple[str, ...]], *tests: tuple[list[Any], tuple[str, ...]]
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Class names in the order of their new labels, 0 on, and those labels of each part."""
    values, names = train
    if names and any(known not in ((), names) for _, known in tests):
        wrong = "the train and test files name their classes differently"
        raise UserError(wrong, hint="write both with the same class_names")
    named = bool(names) and not isinstance(values[0], str)
    order: list[Any] = list(range(len(names))) if named else sorted(set(values))
    place = {value: index for index, value in enumerate(order)}
    parts = [values, *(part for part, _ in tests)]
    if extra := sorted(set().union(*parts) - set(place), key=str):
        raise UserError(
            f"the test file has labels that the train file has not: {', '.join(map(str, extra[:5]))}",
            hint="images of these classes for training too, or take them out of the test file",
        )
    labels = [torch.tensor([place[value] for value in part], dtype=torch.int64) for part in parts]
    return names if named else tuple(map(str, order)), labels
