"""The images that a plan is made for: those there are, or, where a published set is still to be fetched, its sizes.

images, note = planned_images(space, data, home)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space

SHAPES = {
    "fashion_mnist": (10, 60_000, 10_000, 1, 28),
    "cifar10": (10, 50_000, 10_000, 3, 32),
    "cifar100": (100, 50_000, 10_000, 3, 32),
}
"""Classes, training images, test images, channels, side in pixels."""


def planned_images(space: Space, data: Path | None, home: Path) -> tuple[DataSet, str | None]:
    """The images, read and not kept; noise of the published sizes where the sweep would fetch them, and a note that says so.

    Raises:
        UserError: what the sweep itself would say about its images.
    """
    from pcdarts_tune.datasets.named import default_root, has_torchvision_files
    from pcdarts_tune.sweeps.launch import load_images

    name, root = space.data.dataset, data or default_root()
    absent = name in SHAPES and not has_torchvision_files(name, root, unpacked=True)
    if absent and space.data.download and (data is None or _is_empty(data)):
        shape = f"{SHAPES[name][1]} training images of {SHAPES[name][0]} classes"
        return (
            _noise(space),
            f"{name} is not in {root}: the sweep would fetch it; planned for noise of its sizes, {shape}",
        )
    return load_images(space, data, home, keep=False), None


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _noise(space: Space) -> DataSet:
    from pcdarts_tune.datasets import DataSet

    classes, train, test, channels, side = SHAPES[space.data.dataset]
    side = space.data.image_size or side
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> torch.Tensor:
        shape = (count, channels, side, side)
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)

    return DataSet(
        space.data.dataset,
        tuple(str(label) for label in range(classes)),
        images(train),
        torch.arange(train) % classes,
        images(test),
        torch.arange(test) % classes,
        (0.5,) * channels,
        (0.25,) * channels,
        digest="noise",
        source=f"noise of the sizes of {space.data.dataset}",
    )
