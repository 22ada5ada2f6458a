"""A recipe against the size of the images: a cutout that follows it, and what it makes senseless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcdarts_tune.cli.group import run
from pcdarts_tune.datasets import load_dataset, make_batches
from pcdarts_tune.errors import UserError
from pcdarts_tune.planning.inputs import load_planned_images
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.load import load_space, read_space, space_names
from pcdarts_tune.spaces.recipes import AugmentConfig, TrainConfig
from pcdarts_tune.spaces.sizes import check_sizes, resolve_recipe
from pcdarts_tune.spaces.space import DataConfig, Space

STAGES = ("search", "evaluation", "retrain")


def space(stem: str = "cifar", **augment: Any) -> Space:
    return Space.model_validate({"name": "x", "retrain": {"stem": stem, "augment": augment}})


@pytest.mark.parametrize(("side", "cutout"), [(32, 16), (8, 4), (28, 14), (16, 8), (64, 32), (224, 112)])
def test_a_cutout_that_is_left_out_is_half_the_side(side: int, cutout: int) -> None:
    for recipe in (TrainConfig(), space().evaluation, space(flip=False).retrain):
        assert resolve_recipe(recipe, (side, side + 4)).augment.cutout == cutout
    for recipe in (space(kind="none").retrain, space(cutout=0).retrain):
        assert resolve_recipe(recipe, (side, side)).augment.cutout == 0
    assert resolve_recipe(space(cutout=3).retrain, (side, side)).augment.cutout == 3
    assert resolve_recipe(Space(name="x").search, (side, side)).augment.cutout == 0


def test_digits_are_not_blanked() -> None:
    """A square of 16 blanked all of every image."""
    ds = load_dataset(DataConfig(dataset="digits"))
    config = AugmentConfig(crop_padding=0, flip=False, cutout=None)
    batches = make_batches(ds.train_images, ds.train_labels, ds, augment=True, config=config, device="cpu")
    x, _ = next(batches.epoch(500, epoch=0, seed=0))
    blank = (x == 0).double().mean()
    assert 0.05 < blank < 4 * 4 / 64
    assert not (x == 0).flatten(1).all(dim=1).any()


@pytest.mark.parametrize(
    ("augment", "stem", "size", "said", "refused"),
    [
        ({}, "cifar", 32, None, None),
        ({"cutout": 16}, "cifar", 32, None, None),
        ({"cutout": 17}, "cifar", 32, "cutout 17 is more than half the side of 32x32", None),
        ({"cutout": 5}, "cifar", 8, "cutout 5 is more than half", None),
        ({"cutout": 8}, "cifar", 8, None, "cutout 8 is as large as the images, 8x8"),
        ({"cutout": 16}, "cifar", 8, None, "cutout 16 is as large"),
        ({"crop_padding": 1}, "cifar", 8, None, None),
        ({"crop_padding": 4}, "cifar", 8, "crop_padding 4 is half the side of 8x8 images or more", None),
        ({"crop_padding": 8}, "cifar", 8, None, "crop_padding 8 is as large as the images"),
        ({"crop_padding": 8, "kind": "none"}, "cifar", 8, None, None),
        ({}, "imagenet", 224, None, None),
        ({}, "imagenet", 32, "one pixel is left for the last cells", None),
        ({}, "imagenet", 8, None, "divisible by 32; the images have 8x8"),
        ({}, "cifar", 30, None, "divisible by 4"),
    ],
)
def test_what_is_said_and_what_is_refused(
    augment: dict[str, Any], stem: str, size: int, said: str | None, refused: str | None
) -> None:
    made = space(stem, **({"crop_padding": 1} | augment))
    if refused is not None:
        with pytest.raises(UserError, match=refused) as caught:
            check_sizes(made, (size, size), ["retrain"])
        assert "--set" in str(caught.value.hint)
        return
    notes = check_sizes(made, (size, size), ["retrain"])
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]


def test_shipped_spaces_have_nothing_said_of_them() -> None:
    sides = {"digits": 8, "fashion_mnist": 28, "cifar10": 32, "cifar100": 32, "folder": 224}
    for name in space_names():
        shipped = load_space(name)
        side = shipped.data.image_size or sides[shipped.data.dataset]
        assert check_sizes(shipped, (side, side), STAGES) == (), name


def test_a_plan_refuses_and_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path / "home"), "--space", "quickstart", "--trials", "1", "--plan"]
    assert run(["sweep", *home, "--set", "retrain.augment.cutout=8"]) == 2
    assert "retrain.augment.cutout 8 is as large as the images, 8x8" in capsys.readouterr().err
    load_planned_images(read_space("quickstart", ["evaluation.augment.cutout=6"]), None, tmp_path)
    assert "evaluation.augment.cutout 6 is more than half the side of 8x8 images" in capsys.readouterr().err


def test_recipes_of_before_are_the_same() -> None:
    """Digests of trainings take the number that is used: what was begun before cutout followed the images goes on."""
    now = identity(resolve_recipe(TrainConfig(), (32, 32)))
    before = identity(TrainConfig(augment=AugmentConfig(cutout=16)))
    assert now == before
