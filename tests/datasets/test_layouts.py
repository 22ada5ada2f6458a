"""2,000 images in over thirty layouts: each image is read as documented, left out and named, or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from support.make_layouts import MAKERS, TOTAL, Layout, make_layouts
from torch import Tensor

from pcdarts_tune.core.images.augment import channel_constants, normalize_images
from pcdarts_tune.datasets import DataSet, load_dataset, preprocessing, read_image, split_dataset
from pcdarts_tune.doctor.stores import check_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.planning.inputs import load_planned_images
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.space import DataConfig

NAMES = [make.__name__ for make in MAKERS]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    return {layout.name: layout for layout in make_layouts(tmp_path_factory.mktemp("layouts"))}


def config(layout: Layout) -> DataConfig:
    return DataConfig(dataset="folder", held_out=0.15).model_copy(update=layout.settings)


def what_was_read(ds: DataSet) -> Counter[tuple[str, bytes]]:
    found: Counter[tuple[str, bytes]] = Counter()
    for images, labels in ((ds.train_images, ds.train_labels), (ds.test_images, ds.test_labels)):
        assert isinstance(images, Tensor)
        for x_CHW, label in zip(images, labels.tolist(), strict=True):
            found[ds.classes[label], x_CHW.permute(1, 2, 0).contiguous().numpy().tobytes()] += 1
    return found


def test_2000_images_in_thirty_layouts(layouts: dict[str, Layout]) -> None:
    assert len(layouts) >= 30
    assert sum(layout.count for layout in layouts.values()) == TOTAL
    for layout in layouts.values():
        assert sum(layout.read.values()) + layout.left_out == layout.count, layout.name


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_read_left_out_or_refused(layouts: dict[str, Layout], name: str) -> None:
    layout = layouts[name]
    data = config(layout)
    if layout.refused is not None:
        with pytest.raises(UserError, match=layout.refused) as caught:
            load_dataset(data, layout.root)
        assert caught.value.hint
        return
    ds = load_dataset(data, layout.root)
    assert what_was_read(ds) == layout.read
    said = "\n".join(ds.notes)
    for words in layout.notes:
        assert words in said
    splits = split_dataset(ds, data)
    parts = (splits.weights, splits.alphas, splits.held_out)
    assert sum(map(len, parts)) + len(ds.test_labels) == sum(layout.read.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_predicted_as_it_was_trained(layouts: dict[str, Layout], name: str) -> None:
    layout = layouts[name]
    if not layout.files:  # the images are inside parquet files, or nothing is read
        assert layout.refused is not None or list(layout.root.rglob("*.parquet"))
        return
    ds = load_dataset(config(layout), layout.root)
    how = preprocessing(ds)
    mean, std = (channel_constants(tuple(how[key]), "cpu") for key in ("mean", "std"))
    for path, pixels in layout.files.items():
        expected = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        assert torch.equal(read_image(path, how), normalize_images(expected, mean, std)[0]), path


@pytest.mark.parametrize("name", NAMES)
def test_doctor_and_plan_say_the_same(layouts: dict[str, Layout], name: str, tmp_path: Path) -> None:
    layout = layouts[name]
    checks = list(check_images("quickstart", layout.root))
    space = load_space("quickstart")
    space = space.model_copy(update={"data": space.data.model_copy(update=layout.settings)})
    if layout.refused is not None:
        assert checks[-1].status == "fail"
        assert layout.refused in checks[-1].finding
        with pytest.raises(UserError, match=layout.refused):
            load_planned_images(space, layout.root, tmp_path)
        return
    assert checks[-1].status in ("ok", "warn"), checks[-1]
    images, note = load_planned_images(space, layout.root, tmp_path)
    assert note is None
    assert len(images.train_labels) + len(images.test_labels) == sum(layout.read.values())
    assert not list(tmp_path.iterdir())
