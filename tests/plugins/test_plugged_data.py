"""Data sets of plug-ins and of Hugging Face's hub: all forms that a function may return, and what is said of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.plugged import forget_plugins
from torch.utils.data import TensorDataset

from pcdarts_tune import plugins
from pcdarts_tune.datasets import DataSet, load_dataset, split_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.plugins import registry
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.space import DataConfig

RANDOM = np.random.default_rng(0)
LEVELS = RANDOM.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
NUMBERS = np.arange(40) % 2


class Pictures:
    """A map-style data set of PIL images, as torchvision's are."""

    classes = ("cat", "dog")

    def __init__(self, count: int = 40) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(LEVELS[index]), int(NUMBERS[index])


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataSet]:
    """Loads what a function returns that a plug-in calls `mine`."""
    forget_plugins(monkeypatch)
    (tmp_path / "my_data.py").write_text("datasets = {'mine': None}")
    plugins.give(tmp_path / "my_data.py")

    def load(function: Any, root: Path | None = None, **settings: Any) -> DataSet:
        plugins.knows("datasets", "mine")
        (offers,) = registry._files()
        offers.offers()["datasets"]["mine"] = function
        return load_dataset(DataConfig(dataset="mine", **settings), root)

    return load


FORMS = {
    "dataset": Pictures(),
    "arrays": (LEVELS, NUMBERS),
    "first": (LEVELS.transpose(0, 3, 1, 2), NUMBERS),
    "tensors": (torch.from_numpy(LEVELS).permute(0, 3, 1, 2), torch.from_numpy(NUMBERS)),
    "floats": (LEVELS / 255, NUMBERS.astype(bool)),
    "torch": TensorDataset(torch.from_numpy(LEVELS), torch.from_numpy(NUMBERS)),
    "dictionary": {"images": LEVELS, "labels": [("cat", "dog")[n] for n in NUMBERS]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(form: str, plugged: Callable[..., DataSet]) -> None:
    found = plugged(lambda root: FORMS[form], test_fraction=0.2)
    expected = plugged(lambda: {"images": LEVELS, "labels": NUMBERS})
    assert torch.equal(found.train_images, expected.train_images)
    assert torch.equal(found.train_labels, expected.train_labels)
    assert found.classes == (("cat", "dog") if form in ("dataset", "dictionary") else ("0", "1"))
    splits = split_dataset(found, DataConfig(held_out=0.25))
    assert len(splits.weights) == len(splits.alphas) == 12


def test_test_images_classes_groups_and_the_root(plugged: Callable[..., DataSet], tmp_path: Path) -> None:
    asked = []

    def load(root: Path | None) -> Any:
        asked.append(root)
        return {
            "images": LEVELS,
            "labels": NUMBERS,
            "test_images": LEVELS[:4],
            "test_labels": NUMBERS[:4],
            "classes": ["cat", "dog"],
            "groups": [f"patient {n // 4}" for n in range(40)],
        }

    found = plugged(load, tmp_path)
    assert asked == [tmp_path]
    assert len(found.test_labels) == 4
    assert found.groups is not None
    assert found.groups.tolist() == [n // 4 for n in range(40)]
    assert plugged(lambda: (Pictures(), Pictures(6))).test_images.shape == (6, 3, 8, 8)
    assert plugged(lambda: (LEVELS, NUMBERS), image_size=16).image_size == (16, 16)
    grey = plugged(lambda: (LEVELS[..., 0], NUMBERS))
    assert grey.in_channels == 1


WRONG = {
    "int, not a function of --data": 3,
    "RuntimeError: no such disk": lambda: (_ for _ in ()).throw(RuntimeError("no such disk")),
    "returned NoneType; legal: a Dataset": lambda: None,
    "unknown keys pictures; legal: images": lambda: {"pictures": 1},
    "40 images and 39 labels": lambda: (LEVELS, NUMBERS[:39]),
    "floating-point samples outside [0, 1]": lambda: (LEVELS.astype(float), NUMBERS),
    "samples of int64; legal: uint8": lambda: (LEVELS.astype(int), NUMBERS),
    "the shape (8, 8, 2)": lambda: (LEVELS[..., :2], NUMBERS),
    "label -1 is neither": lambda: (LEVELS, NUMBERS - 1),
    "label 1 with 1 classes": lambda: {"images": LEVELS, "labels": NUMBERS, "classes": ["a"]},
    "label 'dog' is none of the classes cat": lambda: {
        "images": LEVELS,
        "labels": ["dog"] * 40,
        "classes": ["cat"],
    },
    "3 groups for 40": lambda: {"images": LEVELS, "labels": NUMBERS, "groups": [1, 2, 3]},
    "image 1 has another size, (8, 8) and (4, 8)": lambda: ([LEVELS[0], LEVELS[0][:4]] * 20, NUMBERS),
    "its item 0 is Tensor, not (image, label)": lambda: torch.utils.data.Subset(LEVELS, range(3)),  # type: ignore[arg-type]
    "only one class": lambda: (LEVELS, NUMBERS * 0),
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_wrong_is_said(says: str, plugged: Callable[..., DataSet]) -> None:
    with pytest.raises(UserError, match=r"data set 'mine' of plug-in my_data\.py") as raised:
        plugged(WRONG[says])
    assert says.replace("is Tensor", "is ndarray") in str(raised.value)


def test_limits(plugged: Callable[..., DataSet]) -> None:
    with pytest.raises(UserError, match="more than data.memory_limit_gb"):
        plugged(lambda: (LEVELS, NUMBERS), memory_limit_gb=1e-6)
    with pytest.raises(UserError, match="takes no data.group"):
        plugged(lambda: (LEVELS, NUMBERS), group="patient")


def test_names_of_data_sets() -> None:
    with pytest.raises(
        UserError, match=r"'digit' is not legal \(did you mean 'digits'\?\); must be one of digits, .* or hub"
    ):
        read_space("quickstart", ["data.dataset=digit"])
    assert read_space("quickstart", ["data.dataset=hub:me/flowers"]).data.dataset == "hub:me/flowers"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `datasets.load_dataset` reads: images in folders by class."""
    root = tmp_path_factory.mktemp("hub")
    for index in range(40):
        split = "test" if index % 10 >= 8 else "train"
        folder = root / "flowers" / split / ("rose", "tulip")[NUMBERS[index]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(LEVELS[index]).save(folder / f"{index}.png")
    (root / "table").mkdir()
    (root / "table" / "train.csv").write_text("a,b\n1,2\n")
    return root


def test_a_folder_that_hugging_face_reads(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    found = load_dataset(DataConfig(dataset=f"hub:{hub / 'flowers'}"))
    assert found.classes == ("rose", "tulip")
    assert found.train_images.shape == (32, 3, 8, 8)
    assert found.test_images.shape == (8, 3, 8, 8)
    kept = {image.tobytes() for image in LEVELS}
    assert all(image.permute(1, 2, 0).numpy().tobytes() in kept for image in found.train_images)
    with pytest.raises(UserError, match=r"one column of images and one of classes; it has a \(Value\)"):
        load_dataset(DataConfig(dataset=f"hub:{hub / 'table'}"))
    with pytest.raises(UserError, match="hub:me/none could not be read"):
        load_dataset(DataConfig(dataset="hub:me/none"))
