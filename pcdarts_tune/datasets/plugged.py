"""Data sets of plug-ins: what their functions return, as images and labels in memory.

    def blobs(root):                                # `--data DIR`, or None
        return {"images": images, "labels": labels, "classes": ["round", "square"]}

    datasets = {"blobs": blobs}                     # data.dataset: blobs

A function returns one of

- a map-style `torch.utils.data.Dataset` (torchvision's, for example) of (image, label), or two of them: training and test;
- arrays or tensors (images, labels), or (images, labels, test_images, test_labels);
- a dictionary with `images` and `labels`, and any of `test_images`, `test_labels`, `classes`, `groups`.

Images are PIL images, arrays (H, W), (H, W, C) or (C, H, W), of uint8, or of floating point in [0, 1]; C is 1 or 3.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pcdarts_tune import plugins
from pcdarts_tune.core.images.augment import resize
from pcdarts_tune.core.images.conversion import Conversion, has_alpha
from pcdarts_tune.core.images.decode import to_tensor
from pcdarts_tune.datasets.dataset import DataSet, Part, make_dataset
from pcdarts_tune.errors import UserError, one_line
from pcdarts_tune.spaces.space import DataConfig

KEYS = ("images", "labels", "test_images", "test_labels", "classes", "groups")
"""What a dictionary may hold."""


@dataclass(frozen=True)
class Raw:
    """A split before anything is converted: images, each read anew when it is asked for, and labels."""

    images: Any
    labels: Sequence[Any]


def load_plugged(name: str, data: DataConfig, root: Path | None) -> DataSet:
    """The data set that a plug-in has under a name.

    Raises:
        UserError: its function fails, or returns what cannot be read as images and labels.
    """
    source = f"data set {name!r} of {plugins.source_of('datasets', name)}"
    function = plugins.find("datasets", name)
    try:
        found = _call(function, root)
        if isinstance(found, DataSet):
            return found
        return build(name, data, source, *_read(found))
    except UserError:
        raise
    except Exception as error:  # another's code, and what it returned: whatever is wrong is its mistake
        raise UserError(
            f"{source}: {type(error).__name__}: {one_line(error)}",
            hint=f"pcdarts_tune.testing.check_dataset({name!r}) says more",
        ) from error


def _call(function: Any, root: Path | None) -> Any:
    if not callable(function):
        raise TypeError(f"it is {type(function).__name__}, not a function of --data (a path or None)")
    takes = inspect.signature(function).parameters.values()
    positional = [each for each in takes if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return function(root) if positional else function()


def _read(found: Any) -> tuple[list[Raw], Sequence[str] | None, Sequence[Any] | None]:
    """Training split and, where there is one, test split; names of classes; groups."""
    if isinstance(found, Mapping):
        if unknown := [str(key) for key in found if key not in KEYS]:
            raise ValueError(f"unknown keys {', '.join(unknown)}; legal: {', '.join(KEYS)}")
        ends = ("", "test_") if "test_images" in found else ("",)
        parts = [Raw(found[f"{end}images"], found[f"{end}labels"]) for end in ends]
        return parts, found.get("classes"), found.get("groups")
    if _is_mapstyle(found):
        return [_items(found)], getattr(found, "classes", None), None
    if isinstance(found, tuple | list):
        if len(found) == 2 and all(map(_is_mapstyle, found)):
            return [_items(each) for each in found], getattr(found[0], "classes", None), None
        if len(found) in (2, 4):
            return [Raw(found[at], found[at + 1]) for at in range(0, len(found), 2)], None, None
    raise TypeError(
        f"its function returned {type(found).__name__}; legal: a Dataset of (image, label), two of them, arrays "
        "(images, labels[, test_images, test_labels]), or a dictionary of these"
    )


def _is_mapstyle(found: Any) -> bool:
    plain = isinstance(found, tuple | list | Mapping | Tensor | np.ndarray)
    return not plain and hasattr(found, "__getitem__") and hasattr(found, "__len__")


def _items(dataset: Any) -> Raw:
    images, labels = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise TypeError(f"its item {index} is {type(item).__name__}, not (image, label)")
        images.append(item[0])
        labels.append(item[1])
    return Raw(images, labels)


def build(
    name: str,
    data: DataConfig,
    source: str,
    parts: Sequence[Raw],
    classes: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
) -> DataSet:
    """A data set of a training split and, if there is a second part, a test split.

    Args:
        source: where it comes from, in words.
        classes: names by number; None for those of the labels.
        groups: what each training image belongs to; images of one group are never split.

    Raises:
        UserError, ValueError: what is wrong with images, labels or groups.
    """
    if data.group is not None:
        raise UserError(
            f"{source} takes no data.group, which names paths of files or a column",
            hint="its function may return a dictionary with groups, one for each training image",
        )
    names = _class_names([part.labels for part in parts], classes)
    conversion = _conversion([part.images for part in parts], data)
    made = [
        Part(_stack(part.images, conversion, data), _numbers(part.labels, names), conversion=conversion)
        for part in parts
    ]
    for part in made:
        if len(part.images) != len(part.labels):
            raise ValueError(f"{len(part.images)} images and {len(part.labels)} labels")
        if part.images.shape[1:] != made[0].images.shape[1:]:
            shapes = f"{tuple(made[0].images.shape[1:])}, test images {tuple(part.images.shape[1:])}"
            raise ValueError(f"training images are {shapes}: set data.image_size")
    if groups is not None:
        made[0] = replace(made[0], groups=_group_numbers(groups, len(made[0].labels)))
    return make_dataset(name, names, made[0], made[1] if len(made) > 1 else None, data, source=source)


def _group_numbers(groups: Sequence[Any], count: int) -> Tensor:
    if len(groups) != count:
        raise ValueError(f"{len(groups)} groups for {count} training images")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(map(str, groups)))}
    return torch.tensor([numbers[str(group)] for group in groups])


def _class_names(splits: Sequence[Sequence[Any]], given: Sequence[str] | None) -> tuple[str, ...]:
    labels = [_plain(label) for split in splits for label in split]
    if not labels:
        raise ValueError("it has no images")
    if any(isinstance(label, str) for label in labels):
        found = sorted({str(label) for label in labels})
        names = found if given is None else list(map(str, given))
        if lacking := [label for label in found if label not in names]:
            raise ValueError(f"label {lacking[0]!r} is none of the classes {', '.join(names)}")
        return tuple(names)
    if not all(isinstance(label, int) and label >= 0 for label in labels):
        wrong = next(label for label in labels if not (isinstance(label, int) and label >= 0))
        raise ValueError(f"label {wrong!r} is neither a class's number from 0 on nor its name")
    names = list(map(str, range(max(labels) + 1) if given is None else given))
    if max(labels) >= len(names):
        raise ValueError(f"label {max(labels)} with {len(names)} classes, which are numbered from 0 on")
    return tuple(names)


def _numbers(labels: Iterable[Any], names: Sequence[str]) -> Tensor:
    plain = [_plain(label) for label in labels]
    return torch.tensor([names.index(each) if isinstance(each, str) else each for each in plain]).long()


def _plain(label: Any) -> Any:
    """A label as a number or text: of arrays and tensors too."""
    value = label.item() if hasattr(label, "item") else label
    return int(value) if isinstance(value, bool) else value


def _conversion(splits: Sequence[Sequence[Any]], data: DataConfig) -> Conversion:
    """How images become uint8 (C, H, W): in colour where one of them has colours."""
    colours, transparent = False, False
    for image in (split[index] for split in splits for index in range(len(split))):
        if isinstance(image, Image.Image):
            colours |= image.mode not in ("1", "L", "LA", "La")
            transparent |= has_alpha(image)
        else:
            colours |= _channels_last(np.asarray(image)).shape[2] == 3
    return Conversion(3 if colours else 1, background=data.background, transparent=transparent)


def _stack(images: Sequence[Any], conversion: Conversion, data: DataConfig) -> Tensor:
    """uint8 (N, C, H, W) of one size."""
    limit, size, rows, held = data.memory_limit_gb * 1e9, data.image_size, [], 0
    for index in range(len(images)):
        image = images[index]
        picture = image if isinstance(image, Image.Image) else _picture(np.asarray(image), index)
        picture = conversion.flatten(picture)
        if size is not None and picture.size != (size, size):
            picture = resize(picture, (size, size), "fit")
        rows.append(to_tensor(picture))
        held += rows[-1].numel()
        if rows[-1].shape != rows[0].shape:
            shapes = f"{tuple(rows[0].shape[1:])} and {tuple(rows[-1].shape[1:])}"
            raise ValueError(f"image {index} has another size, {shapes}: set data.image_size")
        if held > limit:
            raise ValueError(
                f"its images take more than data.memory_limit_gb ({data.memory_limit_gb:g}): write them to files, which are "
                "streamed, or set data.image_size"
            )
    return torch.stack(rows)


def _picture(array: NDArray[Any], index: int) -> Image.Image:
    levels = _channels_last(array)
    if levels.dtype.kind == "f":
        if not (np.isfinite(levels).all() and levels.min() >= 0 and levels.max() <= 1):
            raise ValueError(
                f"image {index} has floating-point samples outside [0, 1] ({levels.min():g} to {levels.max():g}): give "
                "uint8 levels, not normalised"
            )
        levels = np.rint(levels * 255).astype(np.uint8)
    if levels.dtype != np.uint8:
        raise ValueError(f"image {index} has samples of {levels.dtype}; legal: uint8, or float in [0, 1]")
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else np.ascontiguousarray(levels))


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W, C) of (H, W), (H, W, C) or (C, H, W)."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and array.shape[2] in (1, 3):
        return array
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array.transpose(1, 2, 0)
    raise ValueError(f"an image has the shape {array.shape}; legal: (H, W), (H, W, C) or (C, H, W), C 1 or 3")
