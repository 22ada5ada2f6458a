"""Encoded images in parquet files: in a column of bytes, or of a struct with `bytes`, or with the `path` of a file.

ParquetSource(parquet_files(root)).read(7)      # the bytes of the eighth image
"""

from __future__ import annotations

import bisect
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from pcdarts_tune.core.images.conversion import UnreadableImage
from pcdarts_tune.core.images.decode import LARGEST_FILE
from pcdarts_tune.errors import LOOK_AT_THE_DISK, UserError
from pcdarts_tune.files import read_bytes, replace_when_written

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")


def open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (PermissionError, FileNotFoundError) as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}", hint=LOOK_AT_THE_DISK) from error
    except (pa.ArrowException, OSError) as error:
        reason = "the file is empty" if not path.stat().st_size else str(error).splitlines()[0]
        raise UserError(
            f"{path} is no readable parquet file: {reason}", hint="write it again, or remove it"
        ) from error


def find_column(path: Path, schema: pa.Schema, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in schema.names:
            return name
    raise UserError(
        f"{path} has no column for the {what}; its columns are {', '.join(schema.names) or 'none'}",
        hint=f"name the column {names[0]!r} (also read: {', '.join(names[1:])})",
    )


def read_column(
    file: pq.ParquetFile, path: Path, column: str, what: str, *, field: str | None = None
) -> pa.ChunkedArray:
    """A column of all rows; of a column of structs one `field` alone, if it is named. Raises UserError: it is damaged."""
    try:
        return file.read(columns=[column if field is None else f"{column}.{field}"])[column]
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"cannot read the {what} in {path}: {str(error).splitlines()[0]}",
            hint="fetch or write the file again",
        ) from error


def image_column(path: Path, schema: pa.Schema) -> tuple[str, bool]:
    """The name of the image column, and whether it is a struct that holds the bytes."""
    name = find_column(path, schema, IMAGE_COLUMNS, "images")
    kind = schema.field(name).type
    nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    inner = kind.field("bytes").type if nested else kind
    beside = nested and pa.types.is_null(inner) and kind.get_field_index("path") >= 0
    if not (beside or str(inner) in ("binary", "large_binary", "binary_view")):
        raise UserError(
            f"column {name!r} of {path} holds {kind}, not encoded images",
            hint="it must hold the bytes of image files (JPEG, PNG), or a struct with a field 'bytes' of them",
        )
    return name, nested


def holds_images(path: Path) -> bool:
    """Whether a file has a column of the name of one of images; also one that is no readable parquet file, to be refused."""
    try:
        with open_parquet(path) as file:
            return any(name in file.schema_arrow.names for name in IMAGE_COLUMNS)
    except UserError:
        return True


def paths_of_images(path: Path) -> list[str]:
    """What the images of a file name as their paths, where some come without bytes."""
    with open_parquet(path) as file:
        name, nested = image_column(path, file.schema_arrow)
        if not nested or file.schema_arrow.field(name).type.get_field_index("path") < 0:
            return []
        columns = (
            group.column(at)
            for group in map(file.metadata.row_group, range(file.metadata.num_row_groups))
            for at in range(group.num_columns)
        )
        without = any(
            column.statistics is not None and column.statistics.null_count
            for column in columns
            if column.path_in_schema == f"{name}.bytes"
        )
        if not without and not pa.types.is_null(file.schema_arrow.field(name).type.field("bytes").type):
            return []
        listed = read_column(file, path, name, "paths of the images", field="path").to_pylist()
    return [str(value["path"]) for value in listed if value and value.get("path")]


class ParquetSource:
    """Encoded images by row; rows near each other are cheap, as a row group is read at a time.

    An image without bytes is read from its `path`, relative to the parquet file, inside `root`.
    """

    def __init__(self, files: list[Path], root: Path | None = None) -> None:
        self.files, self.root = files, root or files[0].parent
        self.groups: list[tuple[int, int, int]] = []  # (first row, file, row group)
        row = 0
        for number, path in enumerate(files):
            with open_parquet(path) as file:
                for group in range(file.metadata.num_row_groups):
                    self.groups.append((row, number, group))
                    row += file.metadata.row_group(group).num_rows
        self.count = row
        self._held: tuple[int, list[bytes | str | None]] = (-1, [])  # a row group; its images, or why not

    def __len__(self) -> int:
        return self.count

    def _place(self, row: int) -> int:
        return bisect.bisect_right(self.groups, row, key=lambda group: group[0]) - 1

    def read(self, row: int) -> bytes:
        """The encoded image of a row. Raises UnreadableImage: it names a file that is not there, or may not be read."""
        place = self._place(row)
        if self._held[0] != place:
            self._held = (place, self._read_group(*self.groups[place][1:]))
        held = self._held[1][row - self.groups[place][0]]
        if isinstance(held, str):
            raise UnreadableImage(held)
        return held or b""

    def _read_group(self, number: int, group: int) -> list[bytes | str | None]:
        path = self.files[number]
        try:
            with pq.ParquetFile(path) as file:
                name, nested = image_column(path, file.schema_arrow)
                table = file.read_row_group(group, columns=[name])
        except pa.ArrowException as error:
            raise OSError(f"row group {group} is damaged: {str(error).splitlines()[0]}") from error
        values: list[Any] = table[name].to_pylist()
        return [self._content(path, value) for value in values] if nested else values

    def _content(self, file: Path, value: dict[str, Any] | None) -> bytes | str | None:
        """The bytes in a cell, or those of the file that it names, or why that cannot be read."""
        if not value or value["bytes"] or not value.get("path"):
            content: bytes | None = value["bytes"] if value else None
            return content
        path = file.parent / str(value["path"])
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                return f"{value['path']} is outside {self.root}, and is not read"
            return read_bytes(path, LARGEST_FILE)
        except (OSError, ValueError) as error:
            return f"{path}: {getattr(error, 'strerror', None) or error}"
        except UserError as error:
            return str(error)

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
                    lengths.append(file.write(_read_or_nothing(source, row)))
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


def _read_or_nothing(source: ParquetSource, row: int) -> bytes:
    try:
        return source.read(row)
    except UnreadableImage:  # named when the headers were read
        return b""


def parquet_files(root: Path) -> list[Path]:
    """The parquet files that `root` is, or that lie in it or up to two folders below it, by name: as `data/train….parquet`
    or `CONFIG/SPLIT/0000.parquet`. Folders of images are not looked through."""
    if root.is_file():
        return [root]
    found: list[Path] = []
    level = [root]
    for _ in range(3):
        below: list[Path] = []
        for folder in level[:_MOST_FOLDERS]:
            files, folders = _look(folder)
            found += files
            below += folders
        level = below
    return sorted(found)


_MOST_FOLDERS = 200
_MOST_ENTRIES = 1000


def _look(folder: Path) -> tuple[list[Path], list[Path]]:
    """The parquet files and the folders in a folder, but for one that begins with a thousand other files."""
    files, folders, others = [], [], 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(".parquet") and entry.is_file():
                files.append(Path(entry.path))
            elif _is_folder(entry):
                folders.append(Path(entry.path))
            elif (others := others + 1) > _MOST_ENTRIES and not files:
                break
    return files, sorted(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
