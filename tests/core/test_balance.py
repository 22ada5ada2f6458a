"""Classes of unequal size, 92 images and 8: what is scored by class, weights of the loss, sampling by class."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core import balance
from pcdarts_tune.core.architect import Architect
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.images.stream import StreamBatches, StreamImages
from pcdarts_tune.core.loop import evaluate, score_network
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.supernet import Supernet

MANY, FEW = 92, 8
LABELS = torch.tensor([0] * MANY + [1] * FEW)
IMAGES = torch.randint(0, 256, (100, 1, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
SET: dict[str, Any] = {"num_classes": 2, "mean": (0.5,), "std": (0.25,)}


class Linear(nn.Module):
    """Logits of a made network, so that a test can compute everything again from them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(torch.randn(64, 2, generator=generator) / 8)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def made(sampling: str = "uniform", *, augment: Augmentation | None = None) -> MemoryBatches:
    return MemoryBatches(IMAGES, LABELS, sampling=sampling, augment=augment, **SET)


def training(net: EvaluationNetwork | None = None, sampling: str = "uniform", **settings: Any) -> Training:
    torch.manual_seed(0)
    net = net or EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 2, in_channels=1)
    values = {"epochs": 3, "batch_size": 20, "drop_path": 0.2} | settings
    return Training(net, made(sampling, augment=Augmentation(1, True, 2)), made(), **values)


def test_scores_by_class_equal_those_computed_image_by_image() -> None:
    net = Linear()
    scored = score_network(net, made(), 7)
    pixels = (IMAGES.double() / 255 - 0.5) / 0.25
    logits = pixels.flatten(1) @ net.weight.detach().double()
    losses = [
        math.log(sum(math.exp(z) for z in row)) - row[label]
        for row, label in zip(logits.tolist(), LABELS, strict=True)
    ]
    right = [
        int(row[1] > row[0]) == label for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True)
    ]
    mean = sum(losses) / 100
    assert scored.loss == pytest.approx(mean, rel=1e-5)
    assert scored.loss_std == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in losses) / 99), rel=1e-4)
    first, second = sum(right[:MANY]), sum(right[MANY:])
    assert 0 < second < FEW and first < MANY, "the made network is wrong about some of either class"
    assert scored.correct == (first, second) and scored.images == (MANY, FEW) and scored.count == 100
    assert scored.accuracy == (first + second) / 100 and scored.majority == 0.92
    assert scored.balanced_accuracy == pytest.approx((first / MANY + second / FEW) / 2)
    variances = [first / MANY * (1 - first / MANY) / MANY, second / FEW * (1 - second / FEW) / FEW]
    assert scored.balanced_error == pytest.approx(math.sqrt(sum(variances)) / 2)
    assert evaluate(net, made(), 7) == (scored.loss, scored.accuracy)


def test_a_network_that_names_one_class_has_a_balanced_accuracy_of_one_half() -> None:
    net = Linear()
    net.weight.data.zero_()  # equal logits: the first class
    scored = score_network(net, made(), 50)
    assert (scored.accuracy, scored.majority, scored.balanced_accuracy) == (0.92, 0.92, 0.5)
    assert scored.recalls == (1.0, 0.0) and scored.balanced_error == 0.0


def test_a_class_without_images_counts_nowhere() -> None:
    batches = MemoryBatches(IMAGES, LABELS, num_classes=5, mean=(0.5,), std=(0.25,))
    scored = score_network(Linear(), batches, 50)
    assert scored.recalls[2:] == (None, None, None) and scored.images == (MANY, FEW, 0, 0, 0)
    assert scored.balanced_accuracy == pytest.approx(sum(r for r in scored.recalls if r is not None) / 2)
    weights = balance.balanced_weights(LABELS, 5)
    assert weights.tolist() == pytest.approx([100 / (2 * MANY), 100 / (2 * FEW), 0, 0, 0])
    drawn = balance.balanced_samples(LABELS, 5, torch.Generator().manual_seed(0))
    assert Counter(LABELS[drawn].tolist()) == {0: 50, 1: 50}


def test_the_weighted_loss_is_the_mean_of_weight_times_loss() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(100, 2, generator=generator)
    weights = balance.balanced_weights(LABELS, 2)
    each = F.cross_entropy(logits, LABELS, reduction="none")
    by_class = (each[:MANY].mean() + each[MANY:].mean()) / 2
    assert balance.cross_entropy(logits, LABELS, weights).item() == pytest.approx(by_class.item(), rel=1e-6)
    parts = [
        balance.cross_entropy(logits[rows], LABELS[rows], weights) for rows in (slice(0, 50), slice(50, 100))
    ]
    assert sum(parts).item() / 2 == pytest.approx(by_class.item(), rel=1e-6)  # type: ignore[union-attr]
    shares = F.one_hot(LABELS, 2).float()
    assert balance.cross_entropy(logits, shares, weights).item() == pytest.approx(by_class.item(), rel=1e-6)


def test_both_steps_of_a_search_and_that_of_a_training_weight_their_losses() -> None:
    torch.manual_seed(0)
    net = Supernet(4, 3, 2, num_classes=2, in_channels=1)
    search = Search(
        net, made(), made(), epochs=1, batch_size=20, class_weights="balanced", arch_warmup_epochs=0
    )
    weights = torch.tensor([200 / (2 * 2 * MANY), 200 / (2 * 2 * FEW)])
    assert search.class_weights is not None and torch.equal(search.class_weights, weights)
    x, y = next(made().epoch(20, epoch=0, seed=0))
    plain = Architect(net, order=1).gradients(x, y)
    loss, logits, gradients = search.architect.gradients(x, y)
    expected = (weights[y] * F.cross_entropy(logits, y, reduction="none")).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6) and loss != plain[0]
    assert not torch.allclose(gradients[0], plain[2][0])
    job = training(class_weights="balanced", auxiliary_weight=0.0, drop_path=0.0)
    measured, logits = job.step(x, y)
    expected = (weights[y] * F.cross_entropy(logits, y, reduction="none")).mean()
    assert measured.item() == pytest.approx(expected.item(), rel=1e-6)
    with pytest.raises(ValueError, match="class_weights must be one of none, balanced; got 'some'"):
        training(class_weights="some")


def test_balanced_sampling_draws_as_many_images_of_every_class_each_epoch() -> None:
    batches = made("balanced")
    seen: list[tuple[int, ...]] = []
    for epoch in range(3):
        images, labels = zip(*batches.epoch(30, epoch=epoch, seed=4), strict=True)
        assert Counter(torch.cat(labels).tolist()) == {0: 50, 1: 50}
        pixels = torch.cat(images)
        # every one of the 8 comes 6 or 7 times, none of the 92 comes twice
        found = Counter(int((pixels[n] == plain).flatten(1).all(1).nonzero()[0]) for n in range(100))
        assert {found[n] for n in range(MANY, 100)} == {6, 7} and max(found[n] for n in range(MANY)) == 1
        seen.append(tuple(torch.cat(labels).tolist()))
    assert len(set(seen)) == 3
    again = torch.cat([y for _, y in batches.epoch(45, epoch=1, seed=4)])
    assert tuple(again.tolist()) == seen[1], "the same with another batch size"
    parts = [torch.cat([y for _, y in batches.epoch(30, epoch=1, seed=4, part=(g, 2))]) for g in (0, 1)]
    assert sorted(torch.cat(parts).tolist()) == sorted(seen[1])
    with pytest.raises(ValueError, match="sampling must be one of uniform, balanced; got 'even'"):
        made("even")


plain = torch.cat([x for x, _ in made().epoch(100, epoch=0, seed=0, shuffle=False)])


def test_an_image_that_comes_again_is_augmented_anew() -> None:
    batches = made("balanced", augment=Augmentation(4, True, 0))
    pixels = torch.cat([x for x, _ in batches.epoch(100, epoch=0, seed=0, shuffle=False)])[50:]
    assert len({tuple(x.flatten().tolist()) for x in pixels}) > 3 * FEW


class Pngs:
    """Every image as a PNG file; the last one is damaged."""

    def __len__(self) -> int:
        return len(IMAGES)

    def read(self, row: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(IMAGES[row, 0].numpy()).save(file, "PNG")
        return file.getvalue() if row < 99 else b"no image"

    def name(self, row: int) -> str:
        return f"{row}.png"


def test_streamed_images_are_sampled_as_those_in_memory_and_damaged_ones_named() -> None:
    images = StreamImages(Pngs(), torch.arange(100), (8, 8), 1)
    batches = StreamBatches(images, LABELS, sampling="balanced", max_unreadable=0.02, **SET)
    streamed = [(x, y) for x, y in batches.epoch(100, epoch=2, seed=9)]
    x, y = streamed[0]
    memory, labels = next(made("balanced").epoch(100, epoch=2, seed=9))
    damaged = (memory == plain[99]).flatten(1).all(1)
    assert 6 <= int(damaged.sum()) <= 7
    assert torch.equal(y, labels[~damaged]) and torch.equal(x, memory[~damaged])
    assert list(batches.unreadable) == ["99.png"]


@pytest.mark.parametrize("options", [{"class_weights": "balanced"}, {"sampling": "balanced"}])
def test_a_balanced_training_that_goes_on_ends_with_the_same_weights(options: dict[str, str]) -> None:
    whole = training(**options)
    epochs = list(whole)
    first = training(**options)
    next(iter(first))
    state = first.state_dict()
    second = training(**options)
    second.load_state_dict(state)
    rest = list(second)
    assert [epoch.train_loss for epoch in rest] == [epoch.train_loss for epoch in epochs[1:]]
    for one, other in zip(
        whole.network.state_dict().values(), second.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert epochs[-1].scored is not None and epochs[-1].trained_images == 100
    assert (
        epochs[-1].metrics("retrain")["retrain/balanced_acc_held_out"] == epochs[-1].scored.balanced_accuracy
    )
    assert next(iter(training())).train_loss != epochs[0].train_loss
