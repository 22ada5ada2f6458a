"""Whether a data set is one: the same each time, whole, with classes that can be split, and test images of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.datasets import DataSet, load_dataset, split_dataset
from pcdarts_tune.datasets.names import check_distinct
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig
from pcdarts_tune.testing.problems import give, raise_problems


def check_dataset(
    name: str, root: str | Path | None = None, *, plugin: str | Path | None = None, **settings: Any
) -> None:
    """Pass where a data set can be searched and trained on.

    Args:
        root: what `--data` names.
        plugin: a file that has it, as --plugin takes it.
        settings: keys of a space's section `data`, such as `image_size=32`.

    Raises:
        NotConformant: with everything that is wrong.
        UserError: the plug-in's file cannot be read.
    """
    give(plugin)
    raise_problems(f"data set {name!r}", _problems(name, None if root is None else Path(root), settings))


def _problems(name: str, root: Path | None, settings: dict[str, Any]) -> Iterator[str]:
    try:
        config = DataConfig(dataset=name, **settings)
        found, again = (load_dataset(config, root) for _ in range(2))
    except (UserError, ValueError) as error:
        yield str(error)
        return
    if found.digest != again.digest:
        yield "loaded twice it is another one: draw with a fixed seed, sort what is listed, transform nothing at random"
    for check in (_check_classes, _check_images, _check_test_images):
        yield from check(found)
    try:
        split_dataset(found, config)
    except (UserError, ValueError) as error:
        yield f"it cannot be split: {error}"


def _check_classes(found: DataSet) -> Iterator[str]:
    try:
        check_distinct(found.classes, "it")
    except UserError as error:
        yield str(error)
    for split, labels in (("training", found.train_labels), ("test", found.test_labels)):
        counts = torch.bincount(labels, minlength=found.num_classes).tolist()
        if lacking := [name for name, count in zip(found.classes, counts, strict=True) if not count]:
            yield f"no {split} image has the class {', '.join(lacking[:5])}"


def _check_images(found: DataSet) -> Iterator[str]:
    height, width = found.image_size
    if height % 4 or width % 4:
        yield f"images of {height}x{width}: height and width must be divisible by 4 for the CIFAR stem (data.image_size)"
    if isinstance(images := found.train_images, torch.Tensor):
        low, high = int(images.min()), int(images.max())
        if high - low < 16:
            yield f"its levels are {low} to {high} of 0 to 255: were images in [0, 1] or [0, 15] made uint8 as they are?"
        constant = (images.flatten(1).amax(1) == images.flatten(1).amin(1)).sum()
        if int(constant):
            yield f"{int(constant)} training images have one level alone"


def _check_test_images(found: DataSet) -> Iterator[str]:
    if isinstance(found.train_images, torch.Tensor) and isinstance(found.test_images, torch.Tensor):
        train = {image.numpy().tobytes() for image in found.train_images}
        both = sum(image.numpy().tobytes() in train for image in found.test_images)
        if both:
            yield f"{both} of {len(found.test_images)} test images are training images too"
