"""EMA, MixUp, CutMix and RandAugment: what they compute, that they are off unless asked for, and that a training with them
goes on bit for bit, with captured steps too."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from support.replay import as_on_cuda
from support.small_jobs import comparable, gathered, half, kernel_by_kernel, same_state, small_training
from torch import Tensor

from pcdarts_tune.core.images.augment import (
    Augmentation,
    Mixing,
    fit_and_rand_augment,
    imagenet_transform,
    largest_class,
)
from pcdarts_tune.core.images.stream import StreamBatches, TensorImages
from pcdarts_tune.core.loop import evaluate
from pcdarts_tune.core.steps.checkpoints import load_checkpoint, save_checkpoint
from pcdarts_tune.core.steps.optimizers import Average
from pcdarts_tune.spaces.space import Space

OPTIONS: dict[str, dict[str, Any]] = {
    "ema": {"ema_decay": 0.9},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "all": {"ema_decay": 0.8, "mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_interrupted_training_goes_on_bit_for_bit(kind: str, tmp_path: Path) -> None:
    whole, first, second = (small_training(**OPTIONS[kind]) for _ in range(3))
    expected = comparable(list(whole))
    begun = list(islice(first, 1))
    save_checkpoint(tmp_path / "c", first.state_dict())
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert comparable(begun + list(second)) == expected
    same_state(second, whole)
    for name, value in whole.result.state_dict().items():
        assert torch.equal(value, second.result.state_dict()[name]), name


def test_replayed_steps_equal_launched_ones_with_all_options() -> None:
    launched, replayed = kernel_by_kernel(small_training(**OPTIONS["all"])), small_training(**OPTIONS["all"])
    recorders = as_on_cuda(replayed)
    assert comparable(list(replayed)) == comparable(list(launched))
    same_state(replayed, launched)
    for name, value in launched.result.state_dict().items():
        assert torch.equal(value, replayed.result.state_dict()[name]), name
    assert sum(recorder.replayed for recorder in recorders) > 0
    assert replayed.execution()["graphs"] == "on"


def test_the_average_is_the_formula_and_what_is_scored() -> None:
    job, decay = small_training(ema_decay=0.9, epochs=1), 0.9
    net = job.network
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    step = job.step

    def noted(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        out = step(images, labels)
        for name, value in net.state_dict().items():
            whole = not value.is_floating_point()
            expected[name] = value.clone() if whole else decay * expected[name] + (1 - decay) * value
        return out

    job.step = noted  # type: ignore[method-assign]
    (epoch,) = job
    average = job.result
    assert average is not net and not average.training
    for name, value in average.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    valid = half(3, 12)
    assert evaluate(average, valid, 8)[1] == epoch.valid_accuracy
    assert evaluate(average, valid, 8)[0] == epoch.valid_loss != evaluate(net, valid, 8)[0]
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match="ema_decay must be in"):
            Average(net, wrong)


def test_off_means_off() -> None:
    plain, off = small_training(), small_training(ema_decay=0.0, mixup=0.0, cutmix=0.0)
    assert comparable(list(plain)) == comparable(list(off))
    same_state(plain, off)
    assert off.result is off.network
    assert set(off.state_dict()) == {"network", "optimizer", "epoch"}


def batch(count: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 3, 8, 8), torch.arange(count) % 4


def test_mixup_blends_images_and_labels_with_one_share() -> None:
    images, labels = batch()
    mixed, shares = Mixing(4, mixup=0.5)(images, labels, seed=3, epoch=1, batch=2)
    assert shares.shape == (6, 4) and shares.dtype == torch.float32
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    share = float(shares[0, 0])
    torch.testing.assert_close(mixed, share * images + (1 - share) * images.roll(1, 0))


def test_cutmix_pastes_a_rectangle_and_counts_its_pixels() -> None:
    images, labels = batch()
    mixing = Mixing(4, cutmix=1.0)
    for number in range(20):
        mixed, shares = mixing(images, labels, seed=0, epoch=0, batch=number)
        pasted = (mixed == images.roll(1, 0)).all(dim=1) & (mixed != images).any(dim=1)
        assert torch.equal(
            mixed[~pasted[:, None].expand_as(mixed)], images[~pasted[:, None].expand_as(mixed)]
        )
        assert float(shares[1, 0]) == pytest.approx(float(pasted[1].float().mean()), abs=1e-6)
        assert torch.equal(pasted, pasted[:1].expand_as(pasted)), "the same place in all images"


def test_what_is_drawn_is_keyed_and_the_generators_are_left_alone() -> None:
    images, labels = batch()
    mixing = Mixing(4, mixup=0.5, cutmix=1.0)
    before = torch.get_rng_state()
    seen = {}
    for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        seed, epoch, number = key
        seen[key] = mixing(images, labels, seed=seed, epoch=epoch, batch=number)
        again = mixing(images, labels, seed=seed, epoch=epoch, batch=number)
        assert all(torch.equal(one, two) for one, two in zip(seen[key], again, strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert len({tuple(mixed.flatten().tolist()) for mixed, _ in seen.values()}) == 4
    assert torch.equal(largest_class(labels), labels)
    assert largest_class(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).tolist() == [1, 0]
    for wrong in ({}, {"mixup": -1.0, "cutmix": 1.0}):
        with pytest.raises(ValueError, match="mixup and cutmix are at least 0"):
            Mixing(4, **wrong)


SIZE = (12, 8)


def rand_augmented(channels: int, workers: int = 0) -> StreamBatches:
    pixels = torch.randint(0, 256, (12, channels, *SIZE), dtype=torch.uint8)
    constants = {"mean": (0.4, 0.5, 0.6)[:channels], "std": (0.2, 0.25, 0.3)[:channels]}
    return StreamBatches(
        TensorImages(pixels), torch.arange(12), num_classes=12, **constants,
        transform=fit_and_rand_augment(SIZE, 2, 9), augment=Augmentation(2, True, 2), workers=workers,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_rand_augment_is_drawn_per_image_and_epoch_whoever_decodes(channels: int) -> None:
    torch.manual_seed(0)
    batches = rand_augmented(channels)
    torch.manual_seed(0)
    workers = rand_augmented(channels, workers=2)
    one, other = gathered(batches, 4), gathered(workers, 5)
    assert torch.equal(one[0], other[0]), "neither the batch nor the worker matters"
    later = [x for x, _ in batches.epoch(4, epoch=1, seed=0)]
    assert not torch.equal(torch.cat(later), torch.cat([x for x, _ in batches.epoch(4, epoch=0, seed=0)]))
    batches.transform = None
    assert not torch.equal(gathered(batches, 4)[0], one[0])


def test_rand_augment_in_the_imagenet_recipe() -> None:
    image = TensorImages(torch.randint(0, 256, (1, 3, 40, 30), dtype=torch.uint8)).decode(0, resize=False)
    seen = set()
    for rand in (None, (2, 9), (2, 9), (2, 20)):
        torch.manual_seed(5)
        out = imagenet_transform((16, 16), train=True, rand_augment=rand)(image)
        assert out.size == (16, 16)
        seen.add(out.tobytes())
    assert len(seen) == 3


def test_recipes_have_them_off() -> None:
    space = Space(name="plain")
    for recipe in (space.retrain, space.evaluation):
        assert (recipe.ema_decay, recipe.mixup, recipe.cutmix, recipe.augment.rand_augment) == (0, 0, 0, 0)
