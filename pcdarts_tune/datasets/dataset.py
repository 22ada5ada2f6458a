"""A data set: training and test images, their labels, what is needed to normalise and to name them, and parts of it that hold
its classes in proportion.

    part, rest = stratified_part(labels, 0.2, torch.Generator().manual_seed(0))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from pcdarts_tune.core.images.decode import to_tensor
from pcdarts_tune.core.images.stream import StreamImages
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
    """Images and labels of one split, as a loader found them; `digest` stands for the pixels of images on disk."""

    images: Images
    labels: Tensor
    digest: str = ""


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
        rows, rest = stratified_part(train.labels, data.test_fraction, generator, leave=3)
        test = Part(train.images[rows], train.labels[rows], train.digest)
        train = Part(train.images[rest], train.labels[rest], train.digest)
        notes += (f"no test split: {len(rows)} of {len(rows) + len(rest)} images were set aside as one",)
    if not len(test.labels):
        raise UserError(f"{source} has an empty test split", hint="add test images, or remove the test part")
    known = recognise(name, classes, train.images.shape)
    mean, std = PUBLISHED_CONSTANTS[known] if known else channel_statistics(train.images)
    images = (train.images, train.labels, test.images, test.labels)
    return DataSet(name, classes, *images, mean, std, _digest(classes, train, test), source, notes)


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
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for x_NCHW in images.split(4096) if isinstance(images, Tensor) else _sample(images):
        for channel in range(x_NCHW.shape[1]):
            counts[channel] += torch.bincount(x_NCHW[:, channel].flatten(), minlength=256)
    levels = torch.arange(256, dtype=torch.float64) / 255
    weights = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    mean = weights @ levels
    std = (weights * (levels - mean[:, None]) ** 2).sum(dim=1).sqrt()
    std = torch.where(std < 1e-6, torch.ones_like(std), std)
    return tuple(mean.tolist()), tuple(std.tolist())


def _sample(images: StreamImages) -> Iterator[Tensor]:
    for index in torch.linspace(0, len(images) - 1, min(len(images), STATISTICS_SAMPLE)).long().tolist():
        with suppress(ValueError):  # damaged; the training counts and names such files
            yield to_tensor(images.decode(index, resize=True))[None]


def _digest(classes: tuple[str, ...], train: Part, test: Part) -> str:
    total = hashlib.sha256(json.dumps(classes).encode())
    for part in (train, test):
        total.update(json.dumps([part.digest, *part.images.shape]).encode())
        pixels = part.images if isinstance(part.images, Tensor) else part.images.rows
        total.update(pixels.contiguous().numpy().data)
        total.update(part.labels.contiguous().numpy().data)
    return total.hexdigest()[:16]


def stratified_part(
    labels: Tensor, share: float, generator: torch.Generator, *, leave: int = 1
) -> tuple[Tensor, Tensor]:
    """Rows of a part with the classes in proportion, and all other rows; both ascending.

    Args:
        labels: int64 (N,).
        share: a fraction in (0, 1) or a number of rows.
        leave: rows of each class that are left where it has more. At least one is taken; within these bounds the part
            has exactly as many rows as asked for.
    """
    total = share if isinstance(share, int) else round(share * len(labels))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(_allocate(torch.bincount(labels).tolist(), total, leave)):
        rows = torch.nonzero(labels == label).flatten()
        chosen[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return torch.nonzero(chosen).flatten(), torch.nonzero(~chosen).flatten()


def _allocate(counts: list[int], total: int, leave: int) -> list[int]:
    """Divide `total` over classes in proportion to their counts, largest remainders first, each in 1..count-leave."""
    size = max(1, sum(counts))
    least = [min(1, count) for count in counts]
    most = [max(low, count - leave) for low, count in zip(least, counts, strict=True)]
    exact = [total * count / size for count in counts]
    take = [min(max(int(share), low), high) for share, low, high in zip(exact, least, most, strict=True)]
    while (missing := total - sum(take)) != 0:
        step = 1 if missing > 0 else -1
        room = [i for i in range(len(counts)) if (take[i] < most[i] if step > 0 else take[i] > least[i])]
        if not room:
            break
        for i in sorted(room, key=lambda i: (step * (take[i] - exact[i]), i))[: abs(missing)]:
            take[i] += step
    return take


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
