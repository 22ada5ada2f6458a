"""Batches of images on the device that trains: what the search and the training read.

    batches = MemoryBatches(images, labels, num_classes=10, mean=(0.5,), std=(0.25,), augment=Augmentation())
    for x, y in batches.epoch(64, epoch=3, seed=0): ...       # x float32 (N, C, H, W), y int64 (N,)

All randomness is keyed by (seed, epoch, sample): order and augmentation of an epoch are drawn at its start, one row
per sample, on the CPU. So an epoch is the same on every device, with any batch size, and when it is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from pcdarts_tune.core.balance import SAMPLINGS, balanced_samples
from pcdarts_tune.core.images.augment import Augmentation, channel_constants
from pcdarts_tune.core.steps.execution import derive_seed

# Elements that a GPU augments at once: several batches share the launches of a dozen kernels (64 MB of float32).
GPU_CHUNK = 2**24

PLAIN = Augmentation(0, False, 0)
"""Only normalises."""

Part = tuple[int, int]
"""(g, G): part g of G of each batch."""


class Batches(Protocol):
    """Images that can be gone through, once an epoch, in batches on one device."""

    num_classes: int
    in_channels: int
    image_size: tuple[int, int]
    labels: Tensor
    """int64 (N,)."""

    def __len__(self) -> int:
        """Number of images."""

    def epoch(
        self, batch_size: int, *, epoch: int, seed: int, shuffle: bool = True, part: Part | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image exactly once, or with balanced sampling as many of each class, or in short epochs the next
        `epoch_images`: (images float32 (N, C, H, W), labels int64 (N,)), both on the device.

        The last batch is smaller where `batch_size` does not divide the number of images.
        Two sets read side by side should get different seeds, or they are shuffled alike. `part` (g, G) gives, of each
        batch, part g of G alone, which may be empty: whoever reads the other parts gets as many batches.
        """


def require_batches(batch_size: int, **parts: Batches) -> None:
    """Raise a ValueError unless every part gives batches that BatchNorm can train on: of two images at least."""
    if batch_size < 2:
        raise ValueError(
            f"batch_size must be at least 2, since BatchNorm cannot train on one image; got {batch_size}"
        )
    for name, batches in parts.items():
        if len(batches) < 2:
            raise ValueError(f"{name} must hold at least 2 images; it holds {len(batches)}")


def skip_single_images(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of two images and more: BatchNorm cannot train on one, so the last of an odd set waits an epoch."""
    return (batch for batch in batches if len(batch[1]) > 1)


def make_generator(purpose: str, seed: int, epoch: int) -> torch.Generator:
    """A generator on the CPU for one purpose in one epoch; nearby seeds and epochs give unrelated streams."""
    return torch.Generator().manual_seed(derive_seed(purpose, seed, epoch))


def epoch_order(count: int, *, epoch: int, seed: int, shuffle: bool, images: int | None = None) -> Tensor:
    """The order of the samples in an epoch: int64 (count,), on the CPU; of short epochs, `images` of them.

    A short epoch goes on where the last one ended: 5 epochs of 9,000 go once through 45,000 images.
    """
    if not shuffle:
        return torch.arange(count)
    if images is None:
        return torch.randperm(count, generator=make_generator("order", seed, epoch))
    first = epoch * images
    passes = range(first // count, (first + images - 1) // count + 1)
    orders = [torch.randperm(count, generator=make_generator("order", seed, number)) for number in passes]
    return torch.cat(orders)[first % count :][:images]


def send(values: Tensor, device: torch.device) -> Tensor:
    """Values from the CPU on the device, without waiting for what the device is doing."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def epoch_rows(
    count: int,
    batch_size: int,
    epoch: int,
    seed: int,
    shuffle: bool,
    part: Part | None,
    images: int | None = None,
) -> list[Tensor]:
    """The samples of each batch of an epoch, in order, or of a part of each batch (see `Batches.epoch`); on the CPU.

    Raises:
        ValueError: a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1; got {batch_size}")
    order = epoch_order(count, epoch=epoch, seed=seed, shuffle=shuffle, images=images)
    batches = torch.split(order, batch_size)
    return list(batches) if part is None else [rows.tensor_split(part[1])[part[0]] for rows in batches]


def epoch_samples(labels: Tensor, num_classes: int, sampling: str, *, epoch: int, seed: int) -> Tensor | None:
    """The image at each place of an epoch, before the places are shuffled: int64 (N,), on the CPU; None where the image is that
    of the place. An image that comes twice has two places, and is augmented anew at each."""
    if sampling == "uniform":
        return None
    return balanced_samples(labels.cpu(), num_classes, make_generator("balance", seed, epoch))


def check_sampling(sampling: str) -> str:
    """The name, where it is one of `SAMPLINGS`; else a ValueError."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}; got {sampling!r}")
    return sampling


class MemoryBatches:
    """Images held in memory on the device.

    Args:
        images: uint8 (N, C, H, W); moved to `device`.
        labels: int64 (N,), 0..num_classes-1.
        mean, std: per channel, in units of the full scale (0..1).
        augment: None only normalises.
        sampling: `uniform`, every image once, or `balanced`, see `balance.balanced_samples`.
        epoch_images: of a short epoch, see `epoch_order`; None for all.

    Raises:
        ValueError: shapes, dtypes, labels or constants that do not fit together.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        num_classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        augment: Augmentation | None = None,
        device: torch.device | str = "cpu",
        sampling: str = "uniform",
        epoch_images: int | None = None,
    ) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"images are uint8 (N, C, H, W); got {images.dtype} {tuple(images.shape)}")
        check_batches(len(images), images.shape[1], labels, num_classes, mean, std)
        self.num_classes, self.in_channels = num_classes, images.shape[1]
        self.image_size = (images.shape[2], images.shape[3])
        self.sampling = check_sampling(sampling)
        self.augment, self.device, self.epoch_images = augment, torch.device(device), epoch_images
        self.images = images.to(self.device).contiguous()
        self.labels = labels.to(self.device, torch.int64)
        self.mean, self.std = channel_constants(mean, self.device), channel_constants(std, self.device)

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(
        self, batch_size: int, *, epoch: int, seed: int, shuffle: bool = True, part: Part | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Batches.epoch`. Nothing waits for the device. Batches may share memory: copy to keep."""
        batches = epoch_rows(len(self), batch_size, epoch, seed, shuffle, part, self.epoch_images)
        order = send(torch.cat(batches), self.device)
        samples = epoch_samples(self.labels, self.num_classes, self.sampling, epoch=epoch, seed=seed)
        samples = None if samples is None else send(samples, self.device)
        augment = self.augment or PLAIN
        draws = augment.draw(len(self), self.image_size, make_generator("augment", seed, epoch))
        draws = send(draws, self.device)
        sizes, start = [len(rows) for rows in batches], 0
        per_batch = max(1, sizes[0]) * self.images[0].numel()
        at_once = max(1, GPU_CHUNK // per_batch) if self.device.type == "cuda" else 1
        for first in range(0, len(sizes), at_once):
            chunk = sizes[first : first + at_once]
            rows = order[start : start + sum(chunk)]
            start += len(rows)
            picked = rows if samples is None else samples[rows]
            x, y = self.images.index_select(0, picked), self.labels[picked]
            x = augment(x, draws[rows], self.mean, self.std)
            yield from zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)


def check_batches(
    count: int,
    channels: int,
    labels: Tensor,
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """Raise a ValueError unless there is a whole label in 0..num_classes-1 for each of `count` images, one at least, and
    a mean and a positive standard deviation for each channel."""
    if labels.ndim != 1 or len(labels) != count or count == 0:
        raise ValueError(
            f"one label an image, one image at least; got {tuple(labels.shape)} labels, {count} images"
        )
    if labels.is_floating_point() or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"labels are whole numbers in 0..{num_classes - 1}; got {labels.min()}..{labels.max()}"
        )
    if not len(mean) == len(std) == channels or not all(value > 0 for value in std):
        raise ValueError(
            f"a mean and a positive std for each of {channels} channels; got mean {mean}, std {std}"
        )
