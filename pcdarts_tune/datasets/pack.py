"""From encoded images to one tensor of one size, or to a stream where they would not fit in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcdarts_tune.core.images.decode import Header, UnreadableImage, read_header, to_tensor
from pcdarts_tune.core.images.stream import ImageSource, StreamImages, allowed_unreadable
from pcdarts_tune.datasets.cache import digest_of
from pcdarts_tune.datasets.dataset import Part
from pcdarts_tune.datasets.found import Encoded, Found
from pcdarts_tune.datasets.parquet import BlobSource, ParquetSource
from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import DataConfig

Progress = Callable[[int, int], None]
"""Called with (images done, images in all) now and then."""

# Without data.image_size, photographs are brought to the size that ImageNet networks take.
LARGEST_FOUND = 224
_EVERY = 500


@dataclass(frozen=True)
class Packed:
    train: Part
    test: Part | None
    notes: tuple[str, ...]


def pack(
    found: Found,
    data: DataConfig,
    *,
    progress: Progress | None,
    scratch: Path | None,
    keep: bool = True,
) -> Packed:
    """Decode a set that was found.

    Args:
        scratch: folder for what streaming a parquet file needs beside it.
        keep: False writes nothing there: a parquet file is streamed as it is, which is slow but for a few batches.

    Raises:
        UserError: too many damaged images, or a parquet set to stream and no `scratch`.
    """
    parts = {"training": found.train} | ({"test": found.test} if found.test else {})
    total, done = 2 * sum(len(part.source) for part in parts.values()), 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None and (done % _EVERY == 0 or done == total):
            progress(done, total)

    damaged: dict[str, dict[int, str]] = {split: {} for split in parts}
    headers = {split: _read_headers(part.source, damaged[split], step) for split, part in parts.items()}
    for split, part in parts.items():
        _check_damaged(found, split, part, damaged[split], data.max_unreadable)
    size, notes = choose_size(list(headers["training"].values()), data.image_size)
    grey = [header.grey for split in headers.values() for header in split.values()]
    channels = 1 if all(grey) else 3
    if channels == 3 and any(grey):
        notes.append(f"{sum(grey)} grey images among coloured ones are read as RGB")
    needed = len(grey) * channels * size[0] * size[1] / 1e9
    streamed = needed > data.memory_limit_gb
    if streamed:
        notes.append(
            f"{needed:.1f} GB of images, data.memory_limit_gb is {data.memory_limit_gb:g}: they are streamed from disk"
        )
    packed = {}
    for split, part in parts.items():
        rows = torch.tensor(list(headers[split]), dtype=torch.int64)
        if streamed:
            source = streamable(part, scratch) if keep else part.source
            packed[split] = Part(
                StreamImages(source, rows, size, channels), part.labels[rows], part.names_digest()
            )
            continue
        images, kept = _decode(part.source, rows, size, channels, damaged[split], step)
        _check_damaged(found, split, part, damaged[split], data.max_unreadable)
        packed[split] = Part(images, part.labels[kept])
    for split, part in parts.items():
        if damaged[split]:
            notes.append(
                f"{len(damaged[split])} unreadable {split} images are skipped: {_named(part, damaged[split])}"
            )
    return Packed(packed["training"], packed.get("test"), tuple(notes))


def _read_headers(
    source: ImageSource, damaged: dict[int, str], step: Callable[[], None]
) -> dict[int, Header]:
    headers = {}
    for row in range(len(source)):
        try:
            headers[row] = read_header(source.read(row))
        except OSError as error:
            damaged[row] = error.strerror or str(error)
        except UnreadableImage as error:
            damaged[row] = str(error)
        step()
    return headers


def _decode(
    source: ImageSource,
    rows: Tensor,
    size: tuple[int, int],
    channels: int,
    damaged: dict[int, str],
    step: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """uint8 (N, C, H, W) of the images that can be decoded, and their rows."""
    encoded = StreamImages(source, rows, size, channels)
    images = torch.empty(encoded.shape, dtype=torch.uint8)
    kept: list[int] = []
    for index, row in enumerate(rows.tolist()):
        try:
            images[len(kept)] = to_tensor(encoded.decode(index, resize=True))
            kept.append(row)
        except UnreadableImage as error:
            damaged[row] = str(error)
        step()
    return images[: len(kept)], torch.tensor(kept, dtype=torch.int64)


def choose_size(headers: list[Header], image_size: int | None) -> tuple[tuple[int, int], list[str]]:
    """(height, width) for a set, and what to tell the user about it.

    As configured; else as found where all agree; else the commonest size if half of them have it; else a square of
    the median shorter side. Found sizes are brought to a multiple of 4, as the cells halve the image twice, and to at
    most LARGEST_FOUND.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    common, count = sizes.most_common(1)[0]
    size = (image_size, image_size) if image_size is not None else common
    if image_size is None and 2 * count < len(headers):
        sides = sorted(min(header.height, header.width) for header in headers)
        size = (sides[len(sides) // 2],) * 2
    if image_size is None:
        if max(size) > LARGEST_FOUND:
            size = (LARGEST_FOUND, LARGEST_FOUND)
        size = (_multiple_of_4(size[0]), _multiple_of_4(size[1]))
    if list(sizes) == [size]:
        return size, []
    was = f"are all {common[1]}x{common[0]} pixels" if len(sizes) == 1 else f"come in {len(sizes)} sizes"
    note = f"images {was}: resized to {size[1]}x{size[0]}, the centre cropped where the shape differs"
    return size, [note + ("" if image_size is not None else " (data.image_size chooses another size)")]


def _multiple_of_4(length: int) -> int:
    return max(8, 4 * round(length / 4))


def _check_damaged(
    found: Found, split: str, part: Encoded, damaged: dict[int, str], max_unreadable: float
) -> None:
    count = len(part.source)
    if len(damaged) > allowed_unreadable(max_unreadable, count):
        raise UserError(
            f"{len(damaged)} of the {count} {split} images in {found.source} are unreadable, more than "
            f"{max_unreadable:.0%}: {_named(part, damaged)}",
            hint="repair or remove these files, or allow more: --set data.max_unreadable=0.1",
        )


def _named(part: Encoded, damaged: dict[int, str], most: int = 5) -> str:
    named = "; ".join(f"{part.source.name(row)}: {reason}" for row, reason in list(damaged.items())[:most])
    return named + (f"; and {len(damaged) - most} more" if len(damaged) > most else "")


def streamable(part: Encoded, scratch: Path | None) -> ImageSource:
    """The source of a split in a form whose images can be read in any order."""
    if not isinstance(part.source, ParquetSource):
        return part.source
    if scratch is None:
        raise UserError(
            "these parquet files unpack to more than data.memory_limit_gb",
            hint="raise data.memory_limit_gb, set a smaller data.image_size, or unpack them to an image folder",
        )
    return BlobSource.of(part.source, scratch / f"{digest_of(part.stamp)}.images")
