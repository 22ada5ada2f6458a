"""From encoded images to one tensor of one size, or to a stream where they would not fit in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from pcdarts_tune.core.images.decode import Header, UnreadableImage, read_header, to_tensor
from pcdarts_tune.core.images.stream import ImageSource, StreamImages, allowed_unreadable
from pcdarts_tune.datasets.dataset import Part
from pcdarts_tune.datasets.encoded import EncodedSet, EncodedSplit, digest_of
from pcdarts_tune.datasets.parquet import BlobSource, ParquetSource
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig

T = TypeVar("T")
ReportProgress = Callable[[int, int], None]
"""Called with (images done, images in all) now and then."""

LARGEST_FOUND = 224
"""Pixels a side that photographs are brought to without data.image_size: the size that ImageNet networks take."""
_EVERY = 500


@dataclass
class _Split:
    """A split on its way into memory.

    Attributes:
        name: `training` or `test`.
        what: the data set, for messages.
        damaged: row of an image that cannot be read -> why.
        headers: row of an image -> what its file says of it.
    """

    name: str
    what: str
    part: EncodedSplit
    max_unreadable: float
    damaged: dict[int, str] = field(default_factory=dict)
    headers: dict[int, Header] = field(default_factory=dict)

    def attempt(
        self, rows: Iterable[int], read: Callable[[int], T], step: Callable[[], None]
    ) -> Iterator[tuple[int, T]]:
        """What `read` gives for each row that can be read; the others are noted as damaged. Raises
        UserError: at the end, when too many are."""
        for row in rows:
            try:
                yield row, read(row)
            except OSError as error:
                self.damaged[row] = error.strerror or str(error)
            except UnreadableImage as error:
                self.damaged[row] = str(error)
            step()
        count = len(self.part.source)
        if len(self.damaged) > allowed_unreadable(self.max_unreadable, count):
            raise UserError(
                f"{len(self.damaged)} of the {count} {self.name} images in {self.what} are unreadable, more than "
                f"{self.max_unreadable:.0%}: {self.list_damaged()}",
                hint="repair or remove these files, or allow more: --set data.max_unreadable=0.1",
            )

    def list_damaged(self) -> str:
        listed = [f"{self.part.source.name(row)}: {reason}" for row, reason in self.damaged.items()]
        return "; ".join(listed[:5] + [f"and {len(listed) - 5} more"] * (len(listed) > 5))

    def read_headers(self, step: Callable[[], None]) -> None:
        source = self.part.source
        self.headers = dict(self.attempt(range(len(source)), lambda row: read_header(source.read(row)), step))

    def decode(self, size: tuple[int, int], channels: int, step: Callable[[], None]) -> Part:
        """Images uint8 (N, C, H, W), of those that can be decoded."""
        every = torch.arange(len(self.part.source))
        encoded = StreamImages(self.part.source, every, size, channels)
        images = torch.empty((len(self.headers), channels, *size), dtype=torch.uint8)
        kept: list[int] = []

        for row, image in self.attempt(self.headers, lambda row: encoded.decode(row, resize=True), step):
            images[len(kept)] = to_tensor(image)
            kept.append(row)
        return Part(images[: len(kept)], self.part.labels[kept])

    def stream(self, size: tuple[int, int], channels: int, source: ImageSource) -> Part:
        rows = torch.tensor(list(self.headers), dtype=torch.int64)
        images = StreamImages(source, rows, size, channels)
        return Part(images, self.part.labels[rows], self.part.names_digest())


def pack(
    found: EncodedSet,
    data: DataConfig,
    *,
    progress: ReportProgress | None,
    scratch: Path | None,
    keep: bool = True,
) -> tuple[Part, Part | None, tuple[str, ...]]:
    """Decode a set that was found: its training part, its test part where it has one, and notes for the user.

    Args:
        scratch: folder for what streaming a parquet file needs beside it.
        keep: False writes nothing there: a parquet file is streamed as it is, which is slow but for a few batches.

    Raises:
        UserError: too many damaged images, or a parquet set to stream and no `scratch`.
    """
    given = {"training": found.train} | ({"test": found.test} if found.test else {})
    splits = [_Split(name, found.source, part, data.max_unreadable) for name, part in given.items()]
    total, done = 2 * sum(len(part.source) for part in given.values()), 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None and (done % _EVERY == 0 or done == total):
            progress(done, total)

    for split in splits:
        split.read_headers(step)
    size, notes = choose_size(list(splits[0].headers.values()), data.image_size)
    grey = [header.grey for split in splits for header in split.headers.values()]
    channels = 1 if all(grey) else 3
    if channels == 3 and any(grey):
        notes.append(f"{sum(grey)} grey images among coloured ones are read as RGB")
    needed = len(grey) * channels * size[0] * size[1] / 1e9
    if needed > data.memory_limit_gb:
        notes.append(
            f"{needed:.1f} GB of images, data.memory_limit_gb is {data.memory_limit_gb:g}: they are streamed from disk"
        )
        sources = [make_streamable(split.part, scratch) if keep else split.part.source for split in splits]
        packed = [split.stream(size, channels, source) for split, source in zip(splits, sources, strict=True)]
    else:
        packed = [split.decode(size, channels, step) for split in splits]
    notes += [
        f"{len(split.damaged)} unreadable {split.name} images are skipped: {split.list_damaged()}"
        for split in splits
        if split.damaged
    ]
    return packed[0], packed[1] if len(packed) > 1 else None, tuple(notes)


def choose_size(headers: list[Header], image_size: int | None) -> tuple[tuple[int, int], list[str]]:
    """(height, width) for a set, and what to tell the user about it.

    As configured; else as found where all agree; else the commonest size if half of them have it; else a square of
    the median shorter side. Found sizes are brought to a multiple of 4, as the cells halve the image twice, and to at
    most LARGEST_FOUND.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    common, count = sizes.most_common(1)[0]
    if image_size is not None:
        size = (image_size, image_size)
    else:
        size = common
        if 2 * count < len(headers):
            sides = sorted(min(header.height, header.width) for header in headers)
            size = (sides[len(sides) // 2],) * 2
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


def make_streamable(part: EncodedSplit, scratch: Path | None) -> ImageSource:
    """The source of a split in a form whose images can be read in any order."""
    if not isinstance(part.source, ParquetSource):
        return part.source
    if scratch is None:
        raise UserError(
            "these parquet files unpack to more than data.memory_limit_gb",
            hint="raise data.memory_limit_gb, set a smaller data.image_size, or unpack them to an image folder",
        )
    return BlobSource(part.source, scratch / f"{digest_of(part.stamps)}.images")
