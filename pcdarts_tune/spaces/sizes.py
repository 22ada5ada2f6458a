"""What the size of the images makes of a recipe: a cutout that follows it, and values that it makes senseless.

>>> from pcdarts_tune.spaces.recipes import TrainConfig
>>> resolve_recipe(TrainConfig(), (32, 32)).augment.cutout      # as published; half the shorter side
16
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.recipes import AugmentConfig, SearchConfig, TrainConfig
from pcdarts_tune.spaces.space import Space

R = TypeVar("R", SearchConfig, TrainConfig)
Size = tuple[int, int]
"""(height, width) in pixels."""

HALVINGS = {"cifar": 2, "imagenet": 5}
"""How often a network halves the image, by its stem: the cells twice, the stem of ImageNet three times before."""


def resolve_recipe(recipe: R, image_size: Size) -> R:
    """The recipe with the numbers that follow the size of the images."""
    return recipe.model_copy(update={"augment": resolve_augment(recipe.augment, image_size)})


def resolve_augment(augment: AugmentConfig, image_size: Size) -> AugmentConfig:
    """A cutout that is left out becomes half the shorter side with kind cifar, and none with the others."""
    if augment.cutout is not None:
        return augment
    cutout = min(image_size) // 2 if augment.kind == "cifar" else 0
    return augment.model_copy(update={"cutout": cutout})


def check_sizes(space: Space, image_size: Size, stages: Iterable[str]) -> tuple[str, ...]:
    """What is to be said of the recipes of `stages` (search, evaluation, retrain) for images of this size.

    Raises:
        UserError: sides that a network cannot halve, or a recipe that blanks whole images.
    """
    notes: list[str] = []
    for stage in stages:
        network = "supernet" if stage == "search" else stage
        stem = getattr(space, network).stem
        check_halvings(stem, image_size, network)
        if min(image_size) == 2 ** HALVINGS[stem]:
            notes.append(
                f"{network}.stem {stem}: of {_show(image_size)} images one pixel is left for the last cells"
                + ("; stem cifar halves them twice only" if stem == "imagenet" else "")
            )
        notes += _check_augment(getattr(space, stage).augment, image_size, f"{stage}.augment")
    return tuple(dict.fromkeys(notes))


def check_halvings(stem: str, image_size: Size, section: str) -> None:
    """Refuse images that a network cannot halve: twice after a CIFAR stem, five times with an ImageNet stem."""
    multiple = 2 ** HALVINGS[stem]
    if any(side % multiple for side in image_size):
        near = max(multiple, round(max(image_size) / multiple) * multiple)
        raise UserError(
            f"{section}.stem {stem!r} needs image sides divisible by {multiple}; the images have "
            f"{image_size[0]}x{image_size[1]}",
            hint=f"resize the images: --set data.image_size={near}",
        )


def _check_augment(augment: AugmentConfig, image_size: Size, key: str) -> Iterator[str]:
    side = min(image_size)
    cutout = resolve_augment(augment, image_size).cutout or 0
    if augment.kind != "none" and cutout >= side:
        raise UserError(
            f"{key}.cutout {cutout} is as large as the images, {_show(image_size)}: it would blank all that a network "
            "is to learn from",
            hint=f"--set {key}.cutout={side // 2}, half the side as published, or =null, which follows the size",
        )
    if augment.kind != "none" and 2 * cutout > side:
        yield f"{key}.cutout {cutout} is more than half the side of {_show(image_size)} images (published: half)"
    if augment.kind != "cifar":
        return
    if augment.crop_padding >= side:
        raise UserError(
            f"{key}.crop_padding {augment.crop_padding} is as large as the images, {_show(image_size)}: a crop could "
            "hold nothing of them",
            hint=f"--set {key}.crop_padding={max(1, side // 8)}, an eighth of the side as published",
        )
    if 2 * augment.crop_padding >= side:
        yield (
            f"{key}.crop_padding {augment.crop_padding} is half the side of {_show(image_size)} images or more "
            f"(published: an eighth, {max(1, side // 8)})"
        )


def _show(image_size: Size) -> str:
    return f"{image_size[1]}x{image_size[0]}"
