"""Data sets of the Hugging Face hub, read by the package `datasets` (extra `hub`).

    data.dataset: hub:uoft-cs/cifar10               # hub:OWNER/NAME, hub:OWNER/NAME:CONFIGURATION
    data.dataset: hub:/data/flowers                 # a folder that `datasets.load_dataset` reads

What was fetched once is read from Hugging Face's cache (HF_HOME), with HF_HUB_OFFLINE=1 without asking the network. The column of
images and the column of classes are found by their types. Nothing that a data set brings is executed.
"""

from __future__ import annotations

from typing import Any

from pcdarts_tune.datasets.dataset import DataSet
from pcdarts_tune.datasets.plugged import Raw, build
from pcdarts_tune.errors import UserError, one_line
from pcdarts_tune.spaces.known import HUB
from pcdarts_tune.spaces.space import DataConfig

LABELS = ("label", "labels", "class", "fine_label", "target")
"""Columns that hold classes, where none has the type for it; the first of several that have it, too."""
TESTS = ("test", "validation", "valid")
"""The test split is the first of these that there is."""


def load_hub(name: str, data: DataConfig) -> DataSet:
    """The data set that `hub:NAME` names.

    Raises:
        UserError: the package is missing, the hub does not have it, or it holds no images with classes.
    """
    path, _, configuration = name.removeprefix(HUB).partition(":")
    splits = _fetch(path, configuration or None)
    if "train" not in splits:
        raise UserError(
            f"{name} has no split train, but {', '.join(splits)}", hint="--data DIR with its files in folders"
        )
    image, label = _columns(name, splits["train"])
    parts = [_raw(splits["train"], image, label)]
    test = next((split for split in TESTS if split in splits), None)
    if test is not None:
        parts.append(_raw(splits[test], image, label))
    classes = getattr(splits["train"].features[label], "names", None)
    try:
        return build(name, data, name, parts, classes)
    except ValueError as error:
        raise UserError(
            f"{name}: {one_line(error)}", hint="data.image_size brings images to one size"
        ) from error


def _fetch(path: str, configuration: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"data.dataset: {HUB}{path} needs the package datasets ({error})",
            hint="uv sync --extra hub in the checkout; elsewhere pip install 'pcdarts-tune[hub]'",
        ) from error
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(path, configuration)
    except Exception as error:  # the hub's client raises whatever its libraries do
        raise UserError(
            f"{HUB}{path} could not be read: {type(error).__name__}: {one_line(error)}",
            hint=f"{HUB}OWNER/NAME as on huggingface.co/datasets, {HUB}OWNER/NAME:CONFIGURATION, or {HUB}DIR for a folder",
        ) from error


def _columns(name: str, split: Any) -> tuple[str, str]:
    """The column of images and the column of classes."""
    types = {column: type(feature).__name__ for column, feature in split.features.items()}
    images = [column for column, kind in types.items() if kind == "Image"]
    named = [column for column, kind in types.items() if kind == "ClassLabel"]
    labels = [column for column in LABELS if column in (named or types)] or named
    if len(images) != 1 or not labels or len(labels) > 1:
        shown = ", ".join(f"{column} ({kind})" for column, kind in types.items())
        raise UserError(
            f"{name} must have one column of images and one of classes; it has {shown}",
            hint="a data set plug-in chooses among columns: docs/plugins.md",
        )
    return images[0], labels[0]


def _raw(split: Any, image: str, label: str) -> Raw:
    return Raw(_Column(split, image), list(split[label]))


class _Column:
    """The images of a split, decoded one by one when they are asked for."""

    def __init__(self, split: Any, column: str) -> None:
        self._split, self._column = split.select_columns([column]), column

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Any:
        return self._split[index][self._column]
