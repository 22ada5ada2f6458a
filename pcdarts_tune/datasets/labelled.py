"""Images with labels as a trained network takes them: to be gone through once, and never all in memory.

    labelled = find_labelled(data, Path("photos"), model.preprocessing, split="all")
    labelled.renumber(model.classes)

Files are decoded one by one, at their own size, as at training (`batches.read_image`). Only where a test split that a set does
not bring is asked for is the set loaded as a training loads it: which images were set aside depends on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL.Image import Image
from torch import Tensor

from pcdarts_tune.core.images.augment import resize
from pcdarts_tune.core.images.conversion import Conversion, image_size_of
from pcdarts_tune.core.images.stream import Decodable, StreamImages, TensorImages
from pcdarts_tune.datasets.dataset import DataSet, Images, list_some
from pcdarts_tune.datasets.encoded import EncodedSet, EncodedSplit
from pcdarts_tune.datasets.load import find_dataset, load_dataset
from pcdarts_tune.datasets.names import match, show_extra
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig

Split = Literal["test", "train", "all"]


class Prepared:
    """Images in the form of one network: converted, and brought to its size in its way.

    Args:
        preprocessing: as `batches.read_image` takes it.
    """

    def __init__(self, images: Images, preprocessing: Mapping[str, Any]) -> None:
        self.image_size = image_size_of(preprocessing)
        self.mode, self.conversion = preprocessing["resize"], Conversion.from_dict(preprocessing)
        self.images: Decodable = TensorImages(images) if isinstance(images, Tensor) else images
        if isinstance(self.images, StreamImages):
            self.images = replace(self.images, image_size=self.image_size, conversion=self.conversion)

    @property
    def channels(self) -> int:
        return self.conversion.channels

    def __len__(self) -> int:
        return len(self.images)

    def decode(self, index: int, *, resize: bool) -> Image:
        """A PIL image of the network's size; see `core.images.stream.Decodable`."""
        if self.mode == "fit" and isinstance(
            self.images, StreamImages
        ):  # a large JPEG at a fraction of its size
            return self.images.decode(index, resize=True)
        return _bring(self.images.decode(index, resize=False), self)

    def name(self, index: int) -> str:
        return self.images.name(index)


def _bring(image: Image, how: Prepared) -> Image:
    return resize(how.conversion.flatten(image), how.image_size, how.mode)


@dataclass(frozen=True)
class Labelled:
    """What there is to evaluate.

    Attributes:
        name: of the data set.
        split: what of it.
        classes: its names, in the order of the labels.
        parts: images, and their labels, int64 (N,).
        notes: for the user.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    parts: tuple[tuple[Prepared, Tensor], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(labels) for _, labels in self.parts)

    def renumber(self, classes: Sequence[str]) -> Labelled:
        """The same, with labels that count another list of classes, found by their names in whatever order.

        Raises:
            UserError: some of the images are of a class that the list lacks.
        """
        present = torch.cat([labels for _, labels in self.parts]).unique().tolist()
        places = {number: match(self.classes[number], classes) for number in present}
        extra = [self.classes[number] for number, found in places.items() if found is None]
        if extra:
            raise UserError(
                f"{self.name} has classes that the model does not know: {show_extra(extra, classes)}",
                hint=f"its classes are {list_some(classes)}: rename the folders or labels, or take the others out",
            )
        order = torch.full((len(self.classes),), -1, dtype=torch.int64)
        for number, found in places.items():
            order[number] = list(classes).index(str(found))
        parts = tuple((images, order[labels]) for images, labels in self.parts)
        seen = set(places.values())
        absent = [name for name in classes if name not in seen]
        note = (f"no images of {list_some(absent)}",) if absent else ()
        return replace(self, classes=tuple(classes), parts=parts, notes=self.notes + note)


def find_labelled(
    data: DataConfig,
    root: Path | None,
    preprocessing: Mapping[str, Any],
    *,
    split: Split | None = None,
    trained_on: Mapping[str, str] | None = None,
    cache_dir: Path | None = None,
) -> Labelled:
    """The images that a configuration and `--data` name. Nothing is written.

    Args:
        preprocessing: of the model, as `batches.read_image` takes it.
        split: None for the test split, or for all of a set that brings none and that the model was not trained on.
        trained_on: `name` and `digest` of the set that the model was trained on, where that is known.
        cache_dir: where decoded images may be kept.

    Raises:
        UserError: as `load_dataset`.
    """
    found = find_dataset(data, root)
    ds = None
    if found is None or _needs_training_form(found, data, split, trained_on):
        ds = load_dataset(data, root, cache_dir=cache_dir, keep=False)
        own = trained_on is not None and ds.digest == trained_on["digest"]
        if found is None or own:
            return _of_dataset(ds, split or "test", preprocessing)
    assert found is not None
    if found.test is None and split is None:
        note = "no test split: all images are evaluated (--split test takes those that a training would set aside)"
        return _of_files(found, "all", preprocessing, (note,))
    if found.test is not None or split == "all":
        return _of_files(found, split or "test", preprocessing)
    assert ds is not None
    if not _is_in_form(ds, preprocessing):
        size, conversion = preprocessing["image_size"], Conversion.from_dict(preprocessing)
        changed: dict[str, Any] = {"image_size": size} if isinstance(size, int) else {}
        changed |= {"background": conversion.background or data.background}
        changed |= {"sample_range": conversion.sample_range} if conversion.sample_range else {}
        ds = load_dataset(data.model_copy(update=changed), root, cache_dir=cache_dir, keep=False)
    return _of_dataset(ds, split or "test", preprocessing)


def _needs_training_form(
    found: EncodedSet, data: DataConfig, split: Split | None, trained_on: Mapping[str, str] | None
) -> bool:
    """Whether the set must be loaded as for a training, to know which images are in its splits."""
    if split == "all":
        return False
    own = trained_on is not None and trained_on["name"] == found.name
    if found.test is None:
        return split is not None or own
    return own and data.duplicates == "drop"  # of equal images all but one


def _is_in_form(ds: DataSet, preprocessing: Mapping[str, Any]) -> bool:
    """Whether the images are on disk, or decoded as the model wants them."""
    if not isinstance(ds.test_images, Tensor):
        return True
    conversion = Conversion.from_dict(preprocessing)
    return (
        ds.image_size == image_size_of(preprocessing)
        and replace(ds.conversion, transparent=conversion.transparent) == conversion
    )


def _of_files(
    found: EncodedSet, split: Split, preprocessing: Mapping[str, Any], notes: tuple[str, ...] = ()
) -> Labelled:
    both = {"train": found.train, "test": found.test}
    parts = list(both.values()) if split == "all" else [both[split]]
    size, conversion = image_size_of(preprocessing), Conversion.from_dict(preprocessing)

    def prepare(part: EncodedSplit) -> tuple[Prepared, Tensor]:
        images = StreamImages(part.source, torch.arange(len(part.source)), size, conversion)
        return Prepared(images, preprocessing), part.labels

    prepared = tuple(prepare(part) for part in parts if part is not None)
    return Labelled(found.name, split, found.classes, prepared, (*found.notes, *notes))


def _of_dataset(ds: DataSet, split: Split, preprocessing: Mapping[str, Any]) -> Labelled:
    test, train = (ds.test_images, ds.test_labels), (ds.train_images, ds.train_labels)
    chosen = {"test": [test], "train": [train], "all": [train, test]}[split]
    parts = tuple((Prepared(images, preprocessing), labels) for images, labels in chosen)
    return Labelled(ds.name, split, ds.classes, parts, ds.notes)
