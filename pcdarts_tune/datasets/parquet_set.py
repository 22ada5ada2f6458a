"""Data sets in parquet files: a column `image` and a column `label`; which files are which split, labels and class names.

    find_parquet(root, parquet_files(root), "cifar10").train.source.read(7)      # the bytes of the eighth image

Class names come from the schema's metadata (see `class_names`), else they are the labels themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from pcdarts_tune.datasets.class_names import names_in
from pcdarts_tune.datasets.dataset import list_some
from pcdarts_tune.datasets.encoded import (
    ROLES,
    EncodedSet,
    EncodedSplit,
    Stamp,
    fingerprint,
    role_of,
    stamp_of,
)
from pcdarts_tune.datasets.names import check_distinct, match, show_extra
from pcdarts_tune.datasets.parquet import (
    LABEL_COLUMNS,
    ParquetSource,
    find_column,
    image_column,
    open_parquet,
    paths_of_images,
    read_column,
)
from pcdarts_tune.errors import UserError


def find_parquet(root: Path, files: list[Path], prefer: str, group: str | None = None) -> EncodedSet:
    """Read schemas and labels; no image is decoded.

    Args:
        prefer: which set to take where a folder holds several (cifar10-train.parquet beside mnist-train.parquet).
        group: a column that says which images belong together, or a pattern for the images' paths.

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
    if not train:
        raise UserError(
            f"{root} holds no training images", hint="name the files train….parquet and test….parquet"
        )
    notes = _absent_shards(files)
    test = _labelled_test(roles, notes)
    unread = sum(map(len, roles.values())) - len(train) - len(test) - sum(map(len, _unlabelled(roles, test)))
    if unread:
        notes.append(f"{unread} parquet files are neither train nor test and are not read")
    groups = [train, test] if test else [train]
    classes, labels = _number_classes(*map(_read_labels, groups))
    classes, labels = _drop_absent(classes, labels, notes)
    numbers: dict[Any, int] = {}
    splits = []
    for paths, part in zip(groups, labels, strict=True):
        stamps, read = _stamp(paths, root if root.is_dir() else root.parent)
        key = fingerprint(root, stamps, read)
        names, grouped = _read_groups(paths, group, numbers)
        source = ParquetSource(paths, root if root.is_dir() else root.parent)
        splits.append(EncodedSplit(source, part, stamps, key, names, grouped))
    what = f"the parquet data {name!r}"
    return EncodedSet(name, classes, splits[0], splits[1] if test else None, what, tuple(notes))


def _stamp(files: list[Path], root: Path) -> tuple[tuple[Stamp, ...], list[str]]:
    """The stamps of parquet files and of the files of images that they name, and all those files."""
    stamps, read = [], []
    for path in files:
        stamps.append(stamp_of(path.name, path.stat()))
        read.append(str(path))
        for name in paths_of_images(path):
            try:
                image = (path.parent / name).resolve()
                inside = image.is_relative_to(root.resolve()) and image.is_file()
                stamps.append(stamp_of(name, image.stat() if inside else None))
                read += [str(image)] * inside
            except (OSError, ValueError):  # named as unreadable when it is decoded
                stamps.append(stamp_of(name, None))
    return tuple(stamps), read


def _absent_shards(files: list[Path]) -> list[str]:
    """Which numbered files of a split are not there, for the user."""
    found: dict[tuple[str, int], set[int]] = {}
    for path in files:
        if shard := _SHARD.search(path.stem):
            split = path.with_name(path.stem[: shard.start()]).as_posix()
            found.setdefault((split, int(shard[2])), set()).add(int(shard[1]))
    return [
        f"{len(numbers)} of {count} files of {Path(split).name} are here: the images of the others are not read"
        for (split, count), numbers in found.items()
        if len(numbers) < count
    ]


def _labelled_test(roles: dict[str | None, list[Path]], notes: list[str]) -> list[Path]:
    """The files of the test split, else those of the validation split; of neither where no label in them is one."""
    for role in ("test", "validation"):
        if files := roles.get(role):
            if not _has_no_labels(files):
                return files
            other = role == "test" and roles.get("validation")
            instead = "the validation split is read in its place" if other else "a test split is set aside"
            notes.append(f"the images of the {role} split have no labels and are not read: {instead}")
    return []


def _unlabelled(roles: dict[str | None, list[Path]], test: list[Path]) -> list[list[Path]]:
    """The files that a note named as having no labels."""
    before = [roles.get("test", [])] if test is not roles.get("test") else []
    return before + ([roles.get("validation", [])] if not test else [])


def _has_no_labels(files: list[Path]) -> bool:
    """Whether there is no column of labels, or -1 (or nothing) in all of it."""
    for path in files:
        with open_parquet(path) as file:
            name = next((name for name in LABEL_COLUMNS if name in file.schema_arrow.names), None)
            if name is None:
                continue
            labels = read_column(file, path, name, "labels")
            if labels.null_count == len(labels):
                continue
            kind = labels.type
            if pa.types.is_integer(kind) or pa.types.is_floating(kind):
                if pc.max(labels).as_py() >= 0:
                    return False
            elif not all(map(_is_missing, labels.to_pylist())):
                return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, str) and not label.strip())


def _drop_absent(
    classes: tuple[str, ...], labels: list[Tensor], notes: list[str]
) -> tuple[tuple[str, ...], list[Tensor]]:
    """The classes that have images, the labels numbered anew."""
    present = torch.cat(labels).unique()
    if len(present) == len(classes):
        return classes, labels
    absent = [name for number, name in enumerate(classes) if number not in set(present.tolist())]
    notes.append(f"{len(absent)} classes have no images and are left out: {list_some(absent)}")
    kept = tuple(classes[number] for number in present.tolist())
    return kept, [torch.searchsorted(present, part) for part in labels]


def _read_groups(
    files: list[Path], group: str | None, numbers: dict[Any, int]
) -> tuple[tuple[str, ...] | None, Tensor | None]:
    """The paths that images have, and the numbers of their groups where `group` is a column."""
    if group is None:
        return None, None
    names: list[str] = []
    values: list[Any] = []
    for path in files:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            if group in schema.names:
                listed = read_column(file, path, group, "groups").to_pylist()
                if missing := sum(map(_is_missing, listed)):
                    raise UserError(
                        f"data.group: {missing} of {len(listed)} rows of {path} have nothing in the column {group!r}",
                        hint="write what they belong to, or remove these rows",
                    )
                values += listed
                continue
            image, nested = image_column(path, schema)
            if nested and schema.field(image).type.get_field_index("path") >= 0:
                listed = read_column(file, path, image, "paths of the images", field="path").to_pylist()
                names += [str((value or {}).get("path") or "") for value in listed]
    if values and names:
        raise UserError(
            f"data.group: the column {group!r} is not in all files", hint="write it into all of them"
        )
    if not values:
        return tuple(names) or None, None
    try:
        ids = [numbers.setdefault(value, len(numbers)) for value in values]
    except TypeError:
        raise UserError(
            f"data.group: the column {group!r} holds lists", hint="it must hold numbers or texts"
        ) from None
    return None, torch.tensor(ids, dtype=torch.int64)


def _one_set(root: Path, files: list[Path], prefer: str) -> tuple[list[Path], str]:
    """The files of one data set, by what their names begin with and the folders that they lie in, and its name."""
    sets: dict[str, list[Path]] = {}
    skip = {"of", "data", "default", "plain_text"}.union(*ROLES.values())
    for path in files:
        stem = _SHARD.sub("", path.stem)
        above = path.relative_to(root).parts[:-1] if path != root else ()
        words = [*above, *re.split(r"[^A-Za-z0-9]+", stem)]
        named = [word for word in words if word.lower() not in skip and not word.isdigit() and word]
        named = [word for word in named if word not in above or role_of(word) is None]
        sets.setdefault("-".join(named), []).append(path)
    if len(sets) == 1:
        only = next(iter(sets))
        return files, only or (root.stem if root.is_file() else root.name)
    if prefer in sets:
        return sets[prefer], prefer
    raise UserError(
        f"{root} holds parquet files of several data sets: {', '.join(sorted(each or 'no name' for each in sets))}",
        hint="give one file, or a folder with the train and test files of one set",
    )


_SHARD = re.compile(r"-(\d{3,})-of-(\d{3,})(-[0-9a-f]{8,})?$")
"""What Hugging Face appends to the name of a split: `train-00000-of-00002-0123456789abcdef`."""


def _read_labels(files: list[Path]) -> tuple[list[int] | list[str], tuple[str, ...]]:
    """Labels of all rows, and class names where the schema has them."""
    values: list[Any] = []
    names: tuple[str, ...] = ()
    for path in files:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            image_column(path, schema)
            column = find_column(path, schema, LABEL_COLUMNS, "labels")
            labels = read_column(file, path, column, "labels")
            kind = labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type
            if not (pa.types.is_integer(kind) or _is_text(kind)):
                raise UserError(
                    f"column {column!r} of {path} holds {kind}",
                    hint="labels must be whole numbers from 0, or class names",
                )
            listed = labels.to_pylist()
            if missing := sum(map(_is_missing, listed)):
                raise UserError(f"{missing} labels in {path} are missing or empty", hint="remove these rows")
            values += listed
            found = names_in(schema.metadata, schema.field(column).metadata, column)
            if names and found and found != names:
                raise UserError(
                    f"{files[0].name} and {path.name} name their classes differently",
                    hint="write both with the same names",
                )
            names = names or found
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


def _number_classes(
    train: tuple[list[Any], tuple[str, ...]], *tests: tuple[list[Any], tuple[str, ...]]
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Class names in the order of their new labels, 0 on, and those labels of each part."""
    values, names = train
    if not names and not isinstance(values[0], str):
        names = next((known for _, known in tests if len(known) > max(values)), ())
    if names and any(known not in ((), names) for _, known in tests):
        wrong = "the train and test files name their classes differently"
        raise UserError(wrong, hint="write both with the same class_names")
    named = bool(names) and not isinstance(values[0], str)
    if isinstance(values[0], str):
        check_distinct(sorted(set(values)), "the training file")
        tests = tuple(
            ([match(value, set(values)) or value for value in part], known) for part, known in tests
        )
    order: list[Any] = list(range(len(names))) if named else sorted(set(values))
    place = {value: index for index, value in enumerate(order)}
    parts = [values, *(part for part, _ in tests)]
    order_seen = list(map(str, order))
    if extra := sorted(set().union(*parts) - set(place), key=str):
        raise UserError(
            f"the test file has labels that the train file has not: {show_extra(list(map(str, extra)), order_seen)}",
            hint="images of these classes for training too, or take them out of the test file",
        )
    labels = [torch.tensor([place[value] for value in part], dtype=torch.int64) for part in parts]
    return names if named else tuple(map(str, order)), labels
