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

SourceOf = Callable[[str], ImageSource]
"""Gives where the images of `train` and of `test` come from, for sets that are streamed."""


def digest_of(value: Any) -> str:
    """24 hex digits for a value that JSON can hold."""
    return hashlib.sha256(json.dumps([FORMAT, value], sort_keys=True).encode()).hexdigest()[:24]


def load_cached(
    path: Path | None, load: Callable[[], DataSet], *, keep: bool, source_of: SourceOf | None = None
) -> DataSet:
    """The data set that is kept at `path`, else the one that `load` gives.

    Args:
        path: None where nothing is kept.
        keep: whether what was loaded is kept; a note on the data set says where that failed.
    """
    if path is None:
        return load()
    known = _restore(path, source_of)
    if known is not None:
        return known
    return _store(path, load()) if keep else load()


def _store(path: Path, ds: DataSet) -> DataSet:
    tensors = {"train_labels": ds.train_labels, "test_labels": ds.test_labels}
    for split, images in (("train", ds.train_images), ("test", ds.test_images)):
        if isinstance(images, Tensor):
            tensors[f"{split}_images"] = images
        else:
            tensors[f"{split}_rows"] = images.rows
    fields = ("name", "classes", "mean", "std", "digest", "source", "notes")
    about = {field: getattr(ds, field) for field in fields} | {"shape": list(ds.train_images.shape)}
    try:
        with replace_when_written(path) as part:
            contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
            save_file(contiguous, part, metadata={"about": json.dumps(about)})
    except (OSError, SafetensorError) as error:
        return replace(ds, notes=(*ds.notes, f"decoded images could not be cached: {error}"))
    return ds


def _restore(path: Path, source_of: SourceOf | None) -> DataSet | None:
    """The data set in a file, or None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        values: dict[str, Any] = {key: about[key] for key in ("name", "digest", "source")}
        values |= {key: tuple(about[key]) for key in ("classes", "mean", "std", "notes")}
        for split in ("train", "test"):
            images: Any = tensors.get(f"{split}_images")
            if images is None and source_of is not None:
                channels, height, width = about["shape"][1:]
                images = StreamImages(source_of(split), tensors[f"{split}_rows"], (height, width), channels)
            values |= {f"{split}_images": images, f"{split}_labels": tensors[f"{split}_labels"]}
        return DataSet(**values)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
