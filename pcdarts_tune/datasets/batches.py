"""From images and a recipe to batches; and the same preprocessing for one image file.

batches = make_batches(images, labels, ds, augment=True, config=space.search.augment, device=device)
x_CHW = read_image(Path("cat.jpg"), preprocessing(ds))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from pcdarts_tune.core.images.augment import (
    Augmentation,
    channel_constants,
    fit_and_rand_augment,
    imagenet_transform,
    normalize_images,
    resize,
)
from pcdarts_tune.core.images.conversion import Conversion, UnreadableImage, image_size_of
from pcdarts_tune.core.images.data import Batches, MemoryBatches
from pcdarts_tune.core.images.decode import LARGEST_FILE, decode_image, to_tensor
from pcdarts_tune.core.images.stream import StreamBatches, TensorImages
from pcdarts_tune.datasets.dataset import DataSet, Images
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_bytes
from pcdarts_tune.spaces.recipes import AugmentConfig
from pcdarts_tune.spaces.sizes import resolve_augment


def make_batches(
    images: Images,
    labels: Tensor,
    ds: DataSet,
    *,
    augment: bool,
    config: AugmentConfig,
    device: torch.device | str,
    workers: int | None = None,
    sampling: str = "uniform",
    epoch_images: int | None = None,
) -> Batches:
    """Batches of some images of a data set, in memory on the device or streamed from disk.

    Args:
        images, labels: rows of `ds`: `ds.train_images[rows]`, `ds.train_labels[rows]`.
        augment: False only brings to size and normalises.
        workers: processes that decode streamed images, and alter those in memory where that is done one by one (kind
            imagenet, RandAugment); by default as many as torch has threads.
        sampling: see `core.images.data.MemoryBatches`.
        epoch_images: of a short epoch; None for all.
    """
    config = resolve_augment(config, ds.image_size)
    if config.color_jitter is not None and config.kind != "imagenet":
        wrong = f"augment.color_jitter belongs to augment.kind imagenet; it is {config.kind}"
        raise UserError(wrong, hint="set kind: imagenet, or color_jitter: null")
    if config.rand_augment and config.kind == "none":
        wrong = "augment.rand_augment: augment.kind none only normalises"
        raise UserError(wrong, hint="set kind: cifar, or rand_augment: 0")
    rand = (config.rand_augment, config.rand_augment_magnitude) if augment and config.rand_augment else None
    recipe: Augmentation | None = None
    if augment and config.kind == "cifar":
        recipe = Augmentation(config.crop_padding, config.flip, config.cutout or 0)
    elif augment and config.kind == "imagenet" and config.cutout:
        recipe = Augmentation(0, False, config.cutout)
    known: dict[str, Any] = {"num_classes": ds.num_classes, "mean": ds.mean, "std": ds.std, "device": device}
    known |= {"augment": recipe, "sampling": sampling, "epoch_images": epoch_images}
    one_by_one = augment and (config.kind == "imagenet" or rand is not None)
    if isinstance(images, Tensor) and not one_by_one:
        return MemoryBatches(images, labels, **known)
    transform: Callable[[Image], Image] | None = None
    if config.kind == "imagenet":
        transform = imagenet_transform(
            ds.image_size,
            train=augment,
            flip=config.flip,
            color_jitter=config.color_jitter,
            rand_augment=rand,
        )
    elif rand is not None:
        transform = fit_and_rand_augment(ds.image_size, *rand)
    if workers is None:
        workers = min(torch.get_num_threads(), os.cpu_count() or 1)
    known |= {"transform": transform, "workers": workers, "max_unreadable": ds.max_unreadable}
    return StreamBatches(TensorImages(images) if isinstance(images, Tensor) else images, labels, **known)


def preprocessing(ds: DataSet, config: AugmentConfig | None = None) -> dict[str, Any]:
    """What `read_image` needs, as JSON can keep it, of a network trained with the recipe `config`; `image_size` is one
    number where images are square."""
    height, width = ds.image_size
    # as `make_batches` does for images that are streamed with that recipe
    published = config is not None and config.kind == "imagenet" and not isinstance(ds.train_images, Tensor)
    return {
        "image_size": height if height == width else [height, width],
        "channels": ds.in_channels,
        "mean": list(ds.mean),
        "std": list(ds.std),
        "resize": "imagenet" if published else "fit",  # see core.images.augment.resize
        **ds.conversion.to_dict(),
    }


def read_image(path: Path, preprocessing: Mapping[str, Any]) -> Tensor:
    """One image file as the network takes it: float32 (C, H, W), resized and normalised as in training.
    Raises UserError: the file is missing or is no image."""
    size = image_size_of(preprocessing)
    mode, conversion = preprocessing["resize"], Conversion.from_dict(preprocessing)
    enough = size if mode == "fit" else None
    try:
        image = decode_image(read_bytes(path, LARGEST_FILE), conversion, at_least=enough)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", hint="give the path of an image file"
        ) from error
    except UnreadableImage as error:
        raise UserError(
            f"{path} is no readable image: {error}", hint="save it anew as PNG or JPEG"
        ) from error
    mean, std = (channel_constants(tuple(preprocessing[key]), "cpu") for key in ("mean", "std"))
    return normalize_images(to_tensor(resize(image, size, mode))[None], mean, std)[0]
