"""What model.json may say, checked before anything is built from it: a file that came from elsewhere may say anything.

check_description(description)                      # raises ValueError
check_weights(tensors, network_on_meta)             # raises ValueError
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

MOST_CHANNELS, MOST_LAYERS, MOST_CLASSES, LARGEST_IMAGE = 4096, 256, 100_000, 4096
"""Well above what a search space allows: larger ones would fill the memory before anybody could say why."""


def check_description(description: Any) -> None:
    """Refuse what no `save_model` wrote.

    Raises:
        ValueError: naming the field, and what is legal.
    """
    if not isinstance(description, Mapping):
        raise ValueError("model.json must hold an object")
    for name, kind in (("network", Mapping), ("classes", list), ("preprocessing", Mapping)):
        if not isinstance(description.get(name), kind):
            raise ValueError(f"{name} must be {'a list' if kind is list else 'an object'}")
    if not _whole(description.get("format"), 1, 10**6):
        raise ValueError("format must be a whole number")
    network, classes = description["network"], description["classes"]
    bounds = {
        "channels": (1, MOST_CHANNELS),
        "layers": (3, MOST_LAYERS),
        "num_classes": (2, MOST_CLASSES),
        "in_channels": (1, 4),
    }
    for name, (least, most) in bounds.items():
        if not _whole(network.get(name), least, most):
            raise ValueError(f"network.{name} must be a whole number, {least} to {most}")
    if unknown := [str(name) for name in network if name not in (*bounds, "stem", "auxiliary")]:
        raise ValueError(f"network holds what no network has: {', '.join(unknown)[:200]}")
    if len(classes) != network["num_classes"] or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes must be {network['num_classes']} names, as network.num_classes says")
    _check_preprocessing(description["preprocessing"], network["in_channels"])


def _check_preprocessing(preprocessing: Mapping[str, Any], in_channels: int) -> None:
    size = preprocessing.get("image_size")
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or not all(_whole(side, 1, LARGEST_IMAGE) for side in sides):
        raise ValueError(f"preprocessing.image_size must be pixels a side, 1 to {LARGEST_IMAGE}")
    if preprocessing.get("channels") != in_channels:
        raise ValueError("preprocessing.channels must be network.in_channels")
    if preprocessing.get("resize") not in ("fit", "imagenet"):
        raise ValueError("preprocessing.resize must be fit or imagenet")
    for name in ("mean", "std"):
        values = preprocessing.get(name)
        right = isinstance(values, list) and len(values) == in_channels and all(map(_number, values))
        if not right or (name == "std" and not all(value > 0 for value in values or ())):
            raise ValueError(
                f"preprocessing.{name} must be a finite number for each of {in_channels} channels"
            )


def check_weights(tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Refuse weights that are not the network's.

    Args:
        network: built on the meta device, where it takes no memory.

    Raises:
        ValueError: naming the first tensor that lacks, is one too many, or has another shape.
    """
    wanted = network.state_dict()
    lacking, extra = [name for name in wanted if name not in tensors], [n for n in tensors if n not in wanted]
    if lacking or extra:
        what = f"{lacking[0]} lacks" if lacking else f"{extra[0][:80]} is none of this network's"
        raise ValueError(f"the weights are of another network: {what}")
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
            found = f"{tensors[name].dtype} {tuple(tensors[name].shape)}"
            raise ValueError(f"{name} must be {tensor.dtype} {tuple(tensor.shape)}; it is {found}")


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
