"""Image sets too large for memory: files decoded by worker processes while the network trains.

    images = StreamImages(FileSource(paths), torch.arange(len(paths)), image_size=(224, 224), conversion=3)
    batches = StreamBatches(images[rows], labels[rows], num_classes=1000, mean=..., std=..., device="cuda", workers=8)

What happens to an image is keyed by (seed, epoch, its place in the epoch before the shuffling), whichever worker decodes it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from pcdarts_tune.core.images.augment import Augmentation, channel_constants
from pcdarts_tune.core.images.conversion import Conversion, UnreadableImage
from pcdarts_tune.core.images.data import (
    PLAIN,
    Part,
    check_batches,
    check_sampling,
    epoch_rows,
    epoch_samples,
    make_generator,
)
from pcdarts_tune.core.images.decode import (
    LARGEST_FILE,
    decode_image,
    fit,
    to_image,
    to_tensor,
)

log = logging.getLogger(__name__)


class ImageSource(Protocol):
    """Where encoded images come from; goes to worker processes, so it can be pickled."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes:
        """The encoded image; an OSError where it cannot be read."""

    def name(self, row: int) -> str:
        """What to call it in a message."""


class Decodable(Protocol):
    """Images that can be decoded one by one."""

    @property
    def image_size(self) -> tuple[int, int]: ...

    @property
    def channels(self) -> int: ...

    def __len__(self) -> int: ...

    def decode(self, index: int, *, resize: bool) -> Image:
        """A PIL image, brought to `image_size` or as large as it comes; an UnreadableImage where there is none."""

    def name(self, index: int) -> str:
        """What to call it in a message."""


@dataclass(frozen=True)
class FileSource:
    """One file an image."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int) -> bytes:
        with open(self.paths[row], "rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_FILE:
                raise OSError(f"more than {LARGEST_FILE:,} bytes")
            return file.read()

    def name(self, row: int) -> str:
        return self.paths[row]


@dataclass(frozen=True)
class StreamImages:
    """Images that stay on disk, in the place of a tensor (N, C, H, W): `len(images)`, `images[rows]`, `images.shape`.

    Args:
        source: the encoded images.
        rows: int64 (N,), which images of the source.
        image_size: (height, width) that they are brought to.
        conversion: what their samples become, or only the number of channels.
    """

    source: ImageSource
    rows: Tensor
    image_size: tuple[int, int]
    conversion: Conversion | int

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return Conversion.of(self.conversion).channels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor | slice) -> StreamImages:
        return replace(self, rows=self.rows[rows])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), self.channels, *self.image_size)

    def decode(self, index: int, *, resize: bool) -> Image:
        """One image, brought to `image_size` or as large as it comes.

        Raises:
            UnreadableImage: it cannot be read or decoded.
        """
        try:
            data = self.source.read(int(self.rows[index]))
        except OSError as error:
            raise UnreadableImage(error.strerror or str(error)) from error
        if not resize:
            return decode_image(data, self.conversion)
        return fit(decode_image(data, self.conversion, at_least=self.image_size), self.image_size)

    def name(self, index: int) -> str:
        return self.source.name(int(self.rows[index]))


class StreamBatches:
    """Batches decoded while they are needed. See `pcdarts_tune.core.images.data.Batches` for the protocol.

    A file that turns out to be damaged is left out of its batch, listed in `unreadable`, and named once by a warning of the
    logger `pcdarts_tune.core.images.stream`.

    Args:
        images: what to decode.
        labels: int64 (N,), 0..num_classes-1.
        mean, std: per channel, in units of the full scale (0..1).
        transform: from the decoded PIL image, at its own size, to one of `images.image_size`, in the workers, its
            randomness torch's global generator; None resizes and crops the centre.
        augment: what is done after, in batches on the device; None only normalises.
        workers: processes that decode; 0 decodes in this one.
        max_unreadable: share of the files that may be damaged, see `allowed_unreadable`; more end the epoch with an error.
        sampling: see `data.MemoryBatches`.

    Raises:
        ValueError: labels or constants that do not fit; in `epoch`, too many damaged files.
    """

    def __init__(
        self,
        images: Decodable,
        labels: Tensor,
        *,
        num_classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        transform: Callable[[Image], Image] | None = None,
        augment: Augmentation | None = None,
        device: torch.device | str = "cpu",
        workers: int = 0,
        max_unreadable: float = 0.01,
        sampling: str = "uniform",
        epoch_images: int | None = None,
    ) -> None:
        check_batches(len(images), images.channels, labels, num_classes, mean, std)
        self.num_classes, self.in_channels, self.image_size = num_classes, images.channels, images.image_size
        self.images, self.labels = images, labels.to(torch.int64)
        self.transform, self.augment, self.epoch_images = transform, augment, epoch_images
        self.device, self.workers, self.max_unreadable = torch.device(device), workers, max_unreadable
        self.mean, self.std = channel_constants(mean, self.device), channel_constants(std, self.device)
        self.sampling = check_sampling(sampling)
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(
        self, batch_size: int, *, epoch: int, seed: int, shuffle: bool = True, part: Part | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Batches.epoch`; a batch is smaller by the damaged files in it. Of other parts nothing is decoded."""
        batches = epoch_rows(len(self), batch_size, epoch, seed, shuffle, part, self.epoch_images)
        augment = self.augment or PLAIN
        draws = augment.draw(len(self), self.image_size, make_generator("augment", seed, epoch))
        keys = torch.randint(2**62, (len(self),), generator=make_generator("transform", seed, epoch))
        samples = epoch_samples(self.labels, self.num_classes, self.sampling, epoch=epoch, seed=seed)
        samples = torch.arange(len(self)) if samples is None else samples
        on_gpu = self.device.type == "cuda"
        loader: DataLoader[_Sample] = DataLoader(
            _Decoding(self.images, self.transform, keys, samples),
            batch_sampler=[rows.tolist() for rows in batches],
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=on_gpu,
            generator=make_generator("workers", seed, epoch),  # or it would draw from the global one
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads, and torch forks so
            warnings.simplefilter("ignore", DeprecationWarning)
            parts = iter(loader)
        for x, indices, damaged in parts:
            if damaged:
                self._name([(int(samples[place]), reason) for place, reason in damaged])
            if not len(indices):
                if part is not None:  # the other parts of the batch may hold images
                    yield x.new_empty((0, self.in_channels, *self.image_size), dtype=torch.float32), indices
                continue
            x = x.to(self.device, non_blocking=True)
            x = augment(x, draws[indices].to(self.device, non_blocking=True), self.mean, self.std)
            yield x, self.labels[samples[indices]].to(self.device, non_blocking=True)

    def _name(self, damaged: list[tuple[int, str]]) -> None:
        found = {self.images.name(index): reason for index, reason in damaged}
        new = {name: reason for name, reason in found.items() if name not in self.unreadable}
        for number, (name, reason) in enumerate(new.items(), len(self.unreadable) + 1):
            log.warning("%s is left out: %s (%d of %d so far)", name, reason, number, len(self))
        self.count_damaged(new)

    def count_damaged(self, found: Mapping[str, str]) -> None:
        """Files found damaged, here or by others who read parts of this set: name -> reason.

        Raises:
            ValueError: too many by now.
        """
        self.unreadable |= found
        if len(self.unreadable) > allowed_unreadable(self.max_unreadable, len(self)):
            named = "; ".join(f"{name}: {reason}" for name, reason in list(self.unreadable.items())[:5])
            raise ValueError(
                f"{len(self.unreadable)} of {len(self)} images cannot be decoded, more than "
                f"{self.max_unreadable:.1%} of the set: {named}. Repair or remove them, or raise data.max_unreadable."
            )


def allowed_unreadable(share: float, count: int) -> int:
    """How many of `count` files may be damaged: that share of them, but one always, unless the share is 0."""
    return max(1, int(share * count)) if share else 0


_Sample = tuple[int, Tensor | str]
"""Place in the epoch; the pixels, uint8 (C, H, W), or why there are none."""


class _Decoding(Dataset[_Sample]):
    """Images by place in the epoch; `samples` says which image that is."""

    def __init__(
        self, images: Decodable, transform: Callable[[Image], Image] | None, keys: Tensor, samples: Tensor
    ) -> None:
        self.images, self.transform, self.keys, self.samples = images, transform, keys, samples

    def __getitem__(self, index: int) -> _Sample:
        try:
            image = self.images.decode(int(self.samples[index]), resize=self.transform is None)
        except UnreadableImage as error:
            return index, str(error)
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(self.keys[index]))
                image = self.transform(image)
        return index, to_tensor(image)


def _collate(samples: list[_Sample]) -> tuple[Tensor, Tensor, list[tuple[int, str]]]:
    """The decoded images, uint8 (N, C, H, W); their places in the epoch; the damaged ones and why."""
    decoded = [(index, x) for index, x in samples if isinstance(x, Tensor)]
    damaged = [(index, reason) for index, reason in samples if isinstance(reason, str)]
    # straight into the memory that a worker shares; on its own heap, batches leave gaps that no next one fits
    pixels = default_collate([x for _, x in decoded]) if decoded else torch.empty(0, dtype=torch.uint8)
    return pixels, torch.tensor([index for index, _ in decoded], dtype=torch.int64), damaged


class TensorImages:
    """uint8 (N, C, H, W) in memory, C 1 or 3, for transforms that work on one PIL image, such as `imagenet_transform`."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.channels = images, images.shape[1]
        self.image_size = (images.shape[2], images.shape[3])

    def __len__(self) -> int:
        return len(self.images)

    def decode(self, index: int, *, resize: bool) -> Image:
        return to_image(self.images[index])

    def name(self, index: int) -> str:
        return f"image {index}"
