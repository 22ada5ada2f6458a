"""The encoded images of parquet files, row by row; and a copy of them that can be read in any order."""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcdarts_tune.datasets.cache import replacing
from pcdarts_tune.errors import UserError

IMAGE_COLUMNS = ("image", "img")


def open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        reason = "the file is empty" if not path.stat().st_size else str(error).splitlines()[0]
        raise UserError(
            f"{path} is no readable parquet file: {reason}", hint="write it again, or remove it"
        ) from error


def named_column(path: Path, schema: pa.Schema, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in schema.names:
            return name
    raise UserError(
        f"{path} has no column for the {what}; its columns are {', '.join(schema.names) or 'none'}",
        hint=f"name the column {names[0]!r} (also read: {', '.join(names[1:])})",
    )


def image_column(path: Path, schema: pa.Schema) -> tuple[str, bool]:
    """The name of the image column, and whether it is a struct that holds the bytes."""
    name = named_column(path, schema, IMAGE_COLUMNS, "images")
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
            with open_parquet(path) as file:
                for group in range(file.metadata.num_row_groups):
                    self.groups.append((row, number, group))
                    row += file.metadata.row_group(group).num_rows
        self.count = row
        self._held: tuple[int, list[bytes | None]] = (-1, [])

    def __len__(self) -> int:
        return self.count

    def read(self, row: int) -> bytes:
        place = bisect.bisect_right(self.groups, row, key=lambda group: group[0]) - 1
        if self._held[0] != place:
            self._held = (place, self._read_group(*self.groups[place][1:]))
        return self._held[1][row - self.groups[place][0]] or b""

    def _read_group(self, number: int, group: int) -> list[bytes | None]:
        path = self.files[number]
        try:
            with pq.ParquetFile(path) as file:
                name, nested = image_column(path, file.schema_arrow)
                table = file.read_row_group(group, columns=[f"{name}.bytes" if nested else name])
        except pa.ArrowException as error:
            raise OSError(f"row group {group} is damaged: {str(error).splitlines()[0]}") from error
        values: list[Any] = table[name].to_pylist()
        return [value["bytes"] if value else None for value in values] if nested else values

    def name(self, row: int) -> str:
        place = bisect.bisect_right(self.groups, row, key=lambda group: group[0]) - 1
        _, number, _ = self.groups[place]
        start = next(first for first, file, _ in self.groups if file == number)
        return f"{self.files[number].name} row {row - start}"


class BlobSource:
    """The encoded images of a parquet set one after the other in one file: any row can be read on its own."""

    def __init__(self, path: Path, ends: Tensor) -> None:
        self.path, self.ends = path, ends

    @classmethod
    def of(cls, source: ParquetSource, path: Path) -> BlobSource:
        """Copy the encoded images to `path`, whole or not at all; what is there already is used."""
        index = path.with_suffix(".index")
        if not (path.is_file() and index.is_file()):
            lengths = [0]
            with replacing(path) as part, open(part, "wb") as file:
                for row in range(len(source)):
                    lengths.append(file.write(source.read(row)))
            with replacing(index) as part:
                save_file({"ends": torch.tensor(lengths).cumsum(0)}, part)
        return cls(path, load_file(index)["ends"])

    def __len__(self) -> int:
        return len(self.ends) - 1

    def read(self, row: int) -> bytes:
        start, end = int(self.ends[row]), int(self.ends[row + 1])
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)

    def name(self, row: int) -> str:
        return f"row {row}"
