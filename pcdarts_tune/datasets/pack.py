"""From encoded images to one tensor of one size, or to a stream where they would not fit in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from pcdarts_tune.core.images.conversion import WHITE, Conversion, UnreadableImage
from pcdarts_tune.core.images.decode import Header, extreme_samples, read_header, to_tensor
from pcdarts_tune.core.images.stream import ImageSource, StreamImages, allowed_unreadable
from pcdarts_tune.datasets.dataset import STATISTICS_SAMPLE, Images, Part, evenly_spaced
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
        keys: row of an image -> a number that is equal for equal files.
    """

    name: str
    what: str
    part: EncodedSplit
    max_unreadable: float
    damaged: dict[int, str] = field(default_factory=dict)
    headers: dict[int, Header] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)

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

        def read(row: int) -> Header:
            data = source.read(row)
            header = read_header(data)
            digest = hashlib.blake2b(data, digest_size=8).digest()
            self.keys[row] = int.from_bytes(digest, "little", signed=True)
            return header

        self.headers = dict(self.attempt(range(len(source)), read, step))

    def extremes(self, rows: list[int]) -> dict[int, tuple[float, float]]:
        """The least and the largest sample of images with more than 8 bits."""
        source = self.part.source
        found = self.attempt(rows, lambda row: extreme_samples(source.read(row)), lambda: None)
        return dict(found)

    def decode(self, size: tuple[int, int], conversion: Conversion, step: Callable[[], None]) -> Part:
        """Images uint8 (N, C, H, W), of those that can be decoded."""
        every = torch.arange(len(self.part.source))
        encoded = StreamImages(self.part.source, every, size, conversion)
        images = torch.empty((len(self.headers), conversion.channels, *size), dtype=torch.uint8)
        kept: list[int] = []

        for row, image in self.attempt(self.headers, lambda row: encoded.decode(row, resize=True), step):
            images[len(kept)] = to_tensor(image)
            kept.append(row)
        return self._part(images[: len(kept)], torch.tensor(kept, dtype=torch.int64), conversion)

    def stream(self, size: tuple[int, int], conversion: Conversion, source: ImageSource) -> Part:
        rows = torch.tensor(list(self.headers), dtype=torch.int64)
        part = self._part(StreamImages(source, rows, size, conversion), rows, conversion)
        keys = torch.tensor([self.keys[row] for row in rows.tolist()], dtype=torch.int64)
        # of sets that need no conversion, as it always was
        how = conversion.to_dict()
        plain = how == Conversion(conversion.channels).to_dict()
        return replace(part, keys=keys, digest=self.part.names_digest() + ("" if plain else digest_of(how)))

    def _part(self, images: Images, rows: torch.Tensor, conversion: Conversion) -> Part:
        groups = None if self.part.groups is None else self.part.groups[rows]
        return Part(images, self.part.labels[rows], conversion=conversion, groups=groups)


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
    total, done = sum(len(part.source) for part in given.values()), 0

    def step() -> None:  # once for an image's header, once for its pixels
        nonlocal done
        done += 1
        if progress is not None and done % _EVERY == 0:
            progress(done // 2, total)

    for split in splits:
        split.read_headers(step)
    size, notes = choose_size(list(splits[0].headers.values()), data.image_size)
    every = [header for split in splits for header in split.headers.values()]
    grey = sum(header.grey for header in every)
    channels = 1 if grey == len(every) else 3
    if channels == 3 and grey:
        notes.append(f"{grey} grey images among coloured ones are read as RGB")
    needed = len(every) * channels * size[0] * size[1] / 1e9
    streamed = needed > data.memory_limit_gb
    most = STATISTICS_SAMPLE if streamed else None
    sample_range = find_range(splits, data, most, notes)
    conversion = Conversion(channels, data.background, sample_range, any(header.alpha for header in every))
    notes += _conversion_notes(every, conversion)
    if streamed:
        notes.append(
            f"{needed:.1f} GB of images, data.memory_limit_gb is {data.memory_limit_gb:g}: they are streamed from disk"
        )
        sources = [make_streamable(split.part, scratch) if keep else split.part.source for split in splits]
        packed = [
            split.stream(size, conversion, source) for split, source in zip(splits, sources, strict=True)
        ]
    else:
        packed = [split.decode(size, conversion, step) for split in splits]
    if progress is not None:  # where images are damaged or streamed, not every one has both steps
        progress(total, total)
    notes += [
        f"{len(split.damaged)} unreadable {split.name} images are skipped: {split.list_damaged()}"
        for split in splits
        if split.damaged
    ]
    return packed[0], packed[1] if len(packed) > 1 else None, tuple(notes)


def find_range(
    splits: list[_Split], data: DataConfig, most: int | None, notes: list[str]
) -> tuple[float, float] | None:
    """The samples that become 0 and 255, of images with more than 8 bits: as configured, else the least and the largest of
    the training images (of `most` of them, evenly spaced, where that is not None); None where all images have 8 bits.

    Raises:
        UserError: samples that cannot be scaled alike, or not at all.
    """
    rows = [[row for row, header in split.headers.items() if header.samples] for split in splits]
    kinds = {split.headers[row].samples for split, found in zip(splits, rows, strict=True) for row in found}
    if not rows[0]:
        return data.sample_range
    what, count, rest = splits[0].what, len(rows[0]), len(splits[0].headers) - len(rows[0])
    beside = f"; {rest} training images of 8 bits are taken as they are" if rest else ""
    if data.sample_range is not None:
        low, high = data.sample_range
    elif len(kinds) > 1:
        raise UserError(
            f"{what} has images with whole numbers of more than 8 bits and images with floating-point samples, which "
            "no one range scales alike",
            hint="convert one of them, or say the range: --set data.sample_range=[0,65535]",
        )
    else:
        spaced = rows[0] if most is None else [rows[0][at] for at in evenly_spaced(count, most)]
        extremes = list(splits[0].extremes(spaced).values())
        low, high = (
            min((least for least, _ in extremes), default=0.0),
            max((top for _, top in extremes), default=0.0),
        )
        if low == high:
            raise UserError(
                f"all samples of the {count} images of more than 8 bits in {what} are equal ({low:g}): they cannot be scaled",
                hint="look at how they were written, or say the range: --set data.sample_range=[0,65535]",
            )
    notes.append(
        f"{count} training images have more than 8 bits a sample: {low:g}..{high:g} becomes 0..255, in prediction too"
        + ("" if data.sample_range else " (the range of the set; data.sample_range sets another)")
        + beside
    )
    for split, found in list(zip(splits, rows, strict=True))[1 if data.sample_range is None else 0 :]:
        if found and most is None:
            outside = sum(least < low or top > high for least, top in split.extremes(found).values())
            if outside:
                notes.append(
                    f"{outside} {split.name} images have samples outside {low:g}..{high:g}: they are clamped"
                )
    return low, high


def _conversion_notes(headers: list[Header], conversion: Conversion) -> list[str]:
    notes = []
    if transparent := sum(header.alpha for header in headers):
        ground = "white" if conversion.background == WHITE else f"{list(conversion.background or WHITE)}"
        notes.append(
            f"{transparent} images can be transparent: they are laid on {ground}, in prediction too (data.background)"
        )
    if turned := sum(header.turned for header in headers):
        notes.append(f"{turned} images are turned upright, as their EXIF orientation says")
    if frames := sum(header.frames for header in headers):
        notes.append(f"{frames} files hold several frames: the first one is read")
    return notes


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
    return BlobSource(part.source, scratch / f"{part.key or digest_of(part.stamps)}.images")
