"""A recipe's options on their way from a space to the model: what is saved and tested, and which batches it trains on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.images.stream import StreamBatches
from pcdarts_tune.core.steps.checkpoints import weights_digest
from pcdarts_tune.datasets import DataSet, load_dataset, make_batches, split_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.models.model import load_model
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.recipes import AugmentConfig
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.training.build import build_training
from pcdarts_tune.training.retraining import retrain
from pcdarts_tune.training.work import Retraining

CPU, GENOTYPE = torch.device("cpu"), PUBLISHED["PC_DARTS_cifar"]


@pytest.fixture(scope="module")
def space() -> Space:
    return override(load_space("quickstart"), ["retrain.channels=4", "retrain.layers=3", "retrain.epochs=2"])


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


def test_the_average_is_saved_and_tested(space: Space, images: DataSet, tmp_path: Path) -> None:
    averaged = override(space, ["retrain.ema_decay=0.8"])
    work = Retraining(averaged, GENOTYPE, images, 0)
    assert work.recipe != Retraining(space, GENOTYPE, images, 0).recipe
    done = retrain(work, tmp_path / "model", device=CPU, quiet=True)
    training = build_training(averaged, GENOTYPE, images, device=CPU, seed=0)
    *_, last = training
    assert last.valid_accuracy == done.validation_accuracy
    assert done.weights == weights_digest(training.result) != weights_digest(training.network)
    assert weights_digest(load_model(tmp_path / "model").network) == done.weights
    cost = json.loads((tmp_path / "model" / "model.json").read_text())["origin"]["cost"]
    tensors = training.result.state_dict().values()
    assert cost["bytes"] == sum(value.numel() * value.element_size() for value in tensors)
    assert cost["macs"] > cost["params"] > 0 < cost["latency_ms"]["lower"] <= cost["latency_ms"]["upper"]


def test_an_evaluation_trains_on_the_searched_images_or_on_all_in_short_epochs(
    space: Space, images: DataSet
) -> None:
    fractions = ["data.weights_fraction=0.2", "data.alphas_fraction=0.1", "evaluation.epochs=3"]
    narrow = override(space, [*fractions, "evaluation.channels=4", "evaluation.layers=3"])
    splits = split_dataset(images, narrow.data)
    every = override(narrow, ["evaluation.images=all", "evaluation.epoch_images=100"])
    for given, rows in ((narrow, torch.cat([splits.weights, splits.alphas])), (every, splits.rest)):
        training = build_training(given, GENOTYPE, images, device=CPU, seed=0, stage="evaluation")
        assert isinstance(training.train, MemoryBatches)
        assert torch.equal(training.train.images, images.train_images[rows.sort().values])
        *_, last = training
        trained = given.evaluation.epoch_images or len(rows)
        assert last.images_per_second * last.seconds == pytest.approx(trained)


@pytest.mark.parametrize("kind", ["cifar", "imagenet"])
def test_rand_augment_alters_training_images_and_no_others(images: DataSet, kind: str) -> None:
    config = AugmentConfig.model_validate({"kind": kind, "rand_augment": 2, "flip": False, "crop_padding": 0})
    rows = torch.arange(8)
    parts = {"images": images.train_images[rows], "labels": images.train_labels[rows], "ds": images}
    altered = make_batches(**parts, augment=True, config=config, device=CPU, workers=0)
    plain = make_batches(**parts, augment=False, config=config, device=CPU)
    assert isinstance(altered, StreamBatches)
    assert isinstance(plain, MemoryBatches)
    (x, y), (z, _) = (next(b.epoch(8, epoch=0, seed=0, shuffle=False)) for b in (altered, plain))
    assert x.shape == z.shape == (8, 1, 8, 8)
    assert torch.equal(y, images.train_labels[rows])
    assert (x != z).flatten(1).any(dim=1).sum() >= 4
    with pytest.raises(UserError, match="augment.kind none only normalises"):
        none = AugmentConfig(kind="none", rand_augment=2)
        make_batches(**parts, augment=True, config=none, device=CPU)
