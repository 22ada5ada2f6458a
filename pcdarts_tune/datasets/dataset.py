"""A data set: training and test images, their labels, what is needed to normalise and to name them, and parts of it that hold
its classes in proportion.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcdarts_tune.core.images.conversion import Conversion
from pcdarts_tune.core.images.decode import to_tensor
from pcdarts_tune.core.images.stream import StreamImages
from pcdarts_tune.datasets.pixels import channel_counts, pixel_notes, statistics
from pcdarts_tune.datasets.proportion import grouped_part, stratified_part
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig

Images = Tensor | StreamImages
"""uint8 (N, C, H, W) in memory, or the same left on disk; both know `len(images)`, `images.shape`, `images[rows]`."""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PUBLISHED_CONSTANTS = {
    "cifar10": ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and std of each channel of the training images, 0..1, as published; cifar10's as DARTS and PC-DARTS write them."""
TEST_SEED = 0
"""A test split that a set does not bring stays the same whatever `data.split_seed` is: nothing is tuned on it."""
STATISTICS_SAMPLE = 10_000
"""The mean and standard deviation of streamed images are computed from so many of them."""


@dataclass(frozen=True)
class DataSet:
    """Images with their labels.

    Attributes:
        name: `cifar10`, or the folder's name.
        classes: names in the order of the labels.
        train_images, test_images: uint8 (N, C, H, W), or `StreamImages` where they do not fit in memory.
        train_labels, test_labels: int64 (N,).
        mean, std: per channel, in units of the full scale (0..1).
        digest: 16 hex digits of a sha256 of pixels, labels and classes (of names and sizes of the files, if streamed).
        source: where it came from, in words, for the records.
        notes: what the user should know: resized, skipped, split off.
        max_unreadable: share of a part's streamed files that may turn out to be damaged.
        converted: how its files were converted, where it came as files.
        groups: int64 (N,) of the training images, equal for those that are never split (`data.group`).
        twins: int64 (N,) of the training images, equal for those that show the same; None where that was not looked for.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Images
    train_labels: Tensor
    test_images: Images
    test_labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    source: str
    notes: tuple[str, ...] = ()
    max_unreadable: float = 0.01
    converted: Conversion | None = None
    groups: Tensor | None = field(default=None, compare=False)
    twins: Tensor | None = field(default=None, compare=False)

    @property
    def conversion(self) -> Conversion:
        """How an image file is converted for a network that was trained on these images."""
        return self.converted or Conversion(self.in_channels)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def in_channels(self) -> int:
        return int(self.train_images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.train_images.shape[2]), int(self.train_images.shape[3])


@dataclass(frozen=True)
class Part:
    """Images and labels of one split, as a loader found them.

    Attributes:
        digest: stands for the pixels of images on disk.
        conversion: how files were converted.
        keys: int64 (N,), equal for equal files; of images on disk.
        groups, twins: see `DataSet`.
    """

    images: Images
    labels: Tensor
    digest: str = ""
    conversion: Conversion | None = None
    keys: Tensor | None = None
    groups: Tensor | None = None
    twins: Tensor | None = None

    def select(self, rows: Tensor) -> Part:
        """Some of the images."""
        found = {name: getattr(self, name) for name in ("keys", "groups", "twins")}
        some = {name: None if values is None else values[rows] for name, values in found.items()}
        return Part(self.images[rows], self.labels[rows], self.digest, self.conversion, **some)


def make_dataset(
    name: str,
    classes: tuple[str, ...],
    train: Part,
    test: Part | None,
    data: DataConfig,
    *,
    source: str,
    notes: tuple[str, ...] = (),
) -> DataSet:
    """Check what a loader found, split off a test part where there is none, and compute what is missing.
    Raises UserError: one class only, or too few images of one."""
    check_counts(classes, train.labels, data, what=source, has_test=test is not None)
    if test is None:
        generator = torch.Generator().manual_seed(TEST_SEED)
        if train.groups is None:
            rows, rest = stratified_part(train.labels, data.test_fraction, generator, leave=3)
        else:
            rows, rest = grouped_part(train.labels, train.groups, data.test_fraction, generator)
            if not len(rows):
                sizes = torch.bincount(train.groups)
                raise UserError(
                    f"{source} brings no test split, and data.group leaves no whole group to set aside as one: the "
                    f"{int((sizes > 0).sum())} groups have up to {int(sizes.max())} of {len(train.labels)} images",
                    hint="let data.group name smaller groups, or bring a test split (test/CLASS/…)",
                )
            check_counts(
                classes, train.labels[rest], data, what=f"{source}, less a test split", has_test=True
            )
        whole, train, test = len(train.labels), train.select(rest), train.select(rows)
        notes += (f"no test split: {len(rows)} of {whole} images were set aside as one",)
        if train.twins is not None and test.twins is not None:
            both = int(torch.isin(test.twins, train.twins).sum())
            notes += (f"duplicates: {both} of the test images set aside are also training images",) * bool(
                both
            )
    if not len(test.labels):
        raise UserError(f"{source} has an empty test split", hint="add test images, or remove the test part")
    known = recognise(name, classes, train.images.shape)
    statistics_of: tuple[tuple[float, ...], tuple[float, ...]]
    if known:
        statistics_of = PUBLISHED_CONSTANTS[known]
    else:
        counts = channel_counts(_every(train.images), train.images.shape[1])
        statistics_of = statistics(counts)
        notes += pixel_notes(counts, source, train.conversion)
    return DataSet(
        name,
        classes,
        train.images,
        train.labels,
        test.images,
        test.labels,
        *statistics_of,
        _digest(classes, train, test),
        source,
        notes,
        converted=train.conversion,
        groups=train.groups,
        twins=train.twins,
    )


def recognise(name: str, classes: tuple[str, ...], shape: tuple[int, ...]) -> str | None:
    """Which published constants belong to a set: by its name, or by its classes where it came as files."""
    if shape[1] != 3:
        return None
    if set(classes) == set(CIFAR10_CLASSES):
        return "cifar10"
    if name == "cifar100" and len(classes) == 100:
        return "cifar100"
    if len(classes) == 1000 and all(len(c) == 9 and c[0] == "n" and c[1:].isdigit() for c in classes):
        return "imagenet"  # WordNet's ids
    return None


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of each channel over all pixels, 0..1, in float64 from exact counts; a constant channel gets std 1.

    Of streamed images an evenly spaced sample is read.
    """
    return statistics(channel_counts(_every(images), images.shape[1]))


def _every(images: Images) -> Iterator[Tensor]:
    """uint8 (n, C, H, W): all images in memory, or an evenly spaced sample of streamed ones."""
    return iter(images.split(4096)) if isinstance(images, Tensor) else _sample(images)


def _sample(images: StreamImages) -> Iterator[Tensor]:
    for index in evenly_spaced(len(images), STATISTICS_SAMPLE):
        with suppress(ValueError):  # damaged; the training counts and names such files
            yield to_tensor(images.decode(index, resize=True))[None]


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0..count-1."""
    rows: list[int] = torch.linspace(0, count - 1, min(count, most)).long().tolist()
    return rows


def _digest(classes: tuple[str, ...], train: Part, test: Part) -> str:
    total = hashlib.sha256(json.dumps(classes).encode())
    for part in (train, test):
        total.update(json.dumps([part.digest, *part.images.shape]).encode())
        pixels = part.images if isinstance(part.images, Tensor) else part.images.rows
        total.update(pixels.contiguous().numpy().data)
        total.update(part.labels.contiguous().numpy().data)
    return total.hexdigest()[:16]


def check_counts(
    classes: tuple[str, ...], labels: Tensor, data: DataConfig, *, what: str, has_test: bool
) -> None:
    """Refuse a set with fewer than two classes, or with a class too small to be in every part. Raises
    UserError: naming the classes."""
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no classes"
        wrong = f"{what} has {found}: there is nothing to tell apart"
        raise UserError(wrong, hint="a data set needs images of two classes or more")
    parts = ["weights", "alphas"] + ["held out"] * (data.split == "tuning") + ["test"] * (not has_test)
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    small = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < len(parts)]
    if small:
        raise UserError(
            f"{what} is too small: each class needs at least {len(parts)} training images, one for each part "
            f"({', '.join(parts)}); too few have {list_some(small)}",
            hint="add images or remove these classes",
        )


def list_some(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
