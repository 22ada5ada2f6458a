"""Decoded data sets kept in a folder, so that the trials of a sweep do not decode them again.

A cached set is one safetensors file, named by a digest of everything that it was made from. It is mapped into memory:
trials on one machine share its pages. A damaged or missing file only means decoding again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pcdarts_tune.core.images.stream import ImageSource, StreamImages
from pcdarts_tune.datasets.dataset import DataSet
from pcdarts_tune.files import replace_when_written

FORMAT = 1
"""Counts up when decoding or the layout of the file changes."""


def digest_of(value: Any) -> str:
    """24 hex digits for a value that JSON can hold."""
    return hashlib.sha256(json.dumps([FORMAT, value], sort_keys=True).encode()).hexdigest()[:24]


def store(path: Path, ds: DataSet) -> DataSet:
    """Write a data set and return it; with a note where the folder cannot be written."""
    tensors = {"train_labels": ds.train_labels.contiguous(), "test_labels": ds.test_labels.contiguous()}
    for split, images in (("train", ds.train_images), ("test", ds.test_images)):
        key, value = (
            (f"{split}_images", images) if isinstance(images, Tensor) else (f"{split}_rows", images.rows)
        )
        tensors[key] = value.contiguous()
    fields = ("name", "classes", "mean", "std", "digest", "source", "notes")
    about = {field: getattr(ds, field) for field in fields} | {"shape": list(ds.train_images.shape)}
    try:
        with replace_when_written(path) as part:
            save_file(tensors, part, metadata={"about": json.dumps(about)})
    except (OSError, SafetensorError) as error:
        return replace(ds, notes=(*ds.notes, f"decoded images could not be cached: {error}"))
    return ds


def restore(path: Path, source_of: Callable[[str], ImageSource] | None = None) -> DataSet | None:
    """A data set that `store` wrote, or None.

    Args:
        source_of: for streamed sets, gives where the images of `train` and of `test` come from.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        parts: dict[str, Any] = {}
        for split in ("train", "test"):
            parts[f"{split}_labels"] = tensors[f"{split}_labels"]
            images = tensors.get(f"{split}_images")
            if images is None and source_of is not None:
                channels, height, width = about["shape"][1:]
                images = StreamImages(source_of(split), tensors[f"{split}_rows"], (height, width), channels)
            parts[f"{split}_images"] = images
        values: dict[str, Any] = {key: tuple(about[key]) for key in ("classes", "mean", "std", "notes")}
        return DataSet(**parts, **values, **{key: about[key] for key in ("name", "digest", "source")})
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
