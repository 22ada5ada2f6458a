"""A search and a training as generators: what they yield, that they go on bit for bit, and the traps they avoid."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import pytest
import torch
from support.small_jobs import comparable, half, new_search
from torch import Tensor

from pcdarts_tune.core.epochs import SearchEpoch
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.loop import evaluate
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.checkpoints import load_checkpoint, save_checkpoint
from pcdarts_tune.core.steps.execution import derive_seed
from pcdarts_tune.core.steps.meter import NonFiniteLoss
from pcdarts_tune.core.supernet import Supernet


def test_a_search_yields_a_record_an_epoch_and_derives_after_the_last() -> None:
    """Trap 2: the published code derives before each epoch and loses the last."""
    search = new_search()
    epochs = list(search)
    assert [e.epoch for e in epochs] == [0, 1, 2, 3]
    assert epochs[-1].genotype == search.supernet.genotype()
    assert epochs[0].arch_loss is None and epochs[1].arch_loss is not None
    for epoch in epochs:
        metrics = epoch.metrics()
        assert all(isinstance(v, float) and math.isfinite(v) for v in metrics.values())
        assert metrics["arch/skip_connections"] == epoch.genotype.skip_connections
        assert sum(epoch.alpha_normal[0]) == pytest.approx(1)
        assert epoch.beta_normal is not None and sum(epoch.beta_normal[2:5]) == pytest.approx(1)
    assert epochs[0].alpha_entropy_normal == pytest.approx(math.log(8), abs=1e-4)
    assert epochs[0].learning_rate == 0.1
    assert list(search) == []  # it has ended


def test_alphas_stay_frozen_through_the_warm_up() -> None:
    search = new_search(arch_warmup_epochs=3)
    before = [p.detach().clone() for p in search.supernet.arch_parameters()]
    steps = iter(search)
    for _ in range(3):
        next(steps)
        assert all(torch.equal(p, b) for p, b in zip(search.supernet.arch_parameters(), before, strict=True))
    next(steps)
    assert all(not torch.equal(p, b) for p, b in zip(search.supernet.arch_parameters(), before, strict=True))


@pytest.mark.parametrize("mixing", ["shuffle", "random"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_search_equals_an_uninterrupted_one(mixing: str, stop: int, tmp_path: Any) -> None:
    """Bit for bit, through a file, whatever the global generator was used for meanwhile."""
    whole = new_search(mixing)
    expected = list(whole)
    first = new_search(mixing)
    steps = iter(first)
    begun = [next(steps) for _ in range(stop)]
    save_checkpoint(tmp_path / "c.pt", first.state_dict())
    torch.rand(100)
    second = new_search(mixing)
    second.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    assert comparable(begun + list(second)) == comparable(expected)
    for p, q in zip(whole.supernet.state_dict().values(), second.supernet.state_dict().values(), strict=True):
        assert torch.equal(p, q)


def test_the_alphas_half_cycles_instead_of_restarting_every_step() -> None:
    """Trap 6, with halves of unequal size: the next pass begins only when the last is through, resumed or not."""
    expected = []
    for order in (0, 1, 2):
        alphas_of_pass = half(2, 12).epoch(8, epoch=order, seed=derive_seed(0, "alphas"))
        expected += [labels.tolist() for _, labels in alphas_of_pass]
    for stop in (1, 2):
        seen: list[list[int]] = []
        state: dict[str, Any] = {}
        while len(seen) < 6:  # 2 epochs of 3 steps: batches of 8, 4, 8 | 4, 8, 4
            search = new_search(alphas=12, epochs=2, arch_warmup_epochs=0)
            if state:
                search.load_state_dict(state)
            step = search.architect.step

            def spy(
                images: Tensor, labels: Tensor, *rest: Any, step: Any = step, seen: Any = seen, **named: Any
            ) -> Any:
                seen.append(labels.tolist())
                return step(images, labels, *rest, **named)

            search.architect.step = spy  # type: ignore[method-assign]
            for _ in islice(search, stop):
                state = search.state_dict()
        assert seen == expected


def test_both_halves_are_shuffled_differently() -> None:
    data = half(1)
    search = new_search()
    ours = next(iter(search.weights.epoch(20, epoch=0, seed=0)))[0]
    theirs = next(search._alphas_batches())[0]
    assert len(data) == 20
    assert not torch.equal(ours[:8], theirs)


def test_a_diverging_search_says_so() -> None:
    search = new_search(learning_rate=1e30, grad_clip=1e30)
    with pytest.raises(NonFiniteLoss, match=r"became (nan|inf) in epoch 1: lower search.learning_rate"):
        list(search)


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    search = new_search("random")
    torch.manual_seed(5)
    next(iter(search))
    assert torch.equal(torch.rand(3), expected)


def new_training(**arguments: Any) -> Training:
    torch.manual_seed(0)
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 2, in_channels=1)
    return Training(net, half(1), half(3), **{"epochs": 4, "batch_size": 8, "drop_path": 0.4} | arguments)


def test_an_interrupted_training_equals_an_uninterrupted_one(tmp_path: Any) -> None:
    whole = new_training()
    expected = list(whole)
    assert [e.drop_path for e in expected] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    first = new_training()
    steps = iter(first)
    begun = [next(steps), next(steps)]
    save_checkpoint(tmp_path / "c.pt", first.state_dict())
    second = new_training()
    second.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    assert comparable(begun + list(second)) == comparable(expected)
    for p, q in zip(whole.network.state_dict().values(), second.network.state_dict().values(), strict=True):
        assert torch.equal(p, q)


def test_a_training_learns_and_is_measured_in_evaluation_mode() -> None:
    training = new_training(epochs=8, drop_path=0.0, auxiliary_weight=0.0)
    last = list(training)[-1]
    assert last.train_accuracy >= 0.9
    loss, accuracy = evaluate(training.network, training.valid, 6)
    assert (loss, accuracy) == (pytest.approx(last.valid_loss), last.valid_accuracy)
    assert training.network.training  # the mode is put back
    assert set(last.metrics("retraining")) >= {"retraining/acc_held_out", "retraining/loss_train"}


def test_a_diverging_training_says_so() -> None:
    with pytest.raises(NonFiniteLoss, match="lower the recipe's learning_rate"):
        list(new_training(learning_rate=1e30, grad_clip=1e30))


def test_a_last_batch_of_one_image_is_left_out() -> None:
    """BatchNorm cannot train on one value: 17 images in batches of 8."""
    torch.manual_seed(0)
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 2, in_channels=1)
    (epoch,) = Training(net, half(1, 17), half(3), epochs=1, batch_size=8)
    assert math.isfinite(epoch.train_loss)
    supernet = Supernet(4, 3, 2, num_classes=2, in_channels=1, nodes=1)
    search = Search(supernet, half(1, 17), half(2, 9), epochs=2, batch_size=8, arch_warmup_epochs=0)
    assert [math.isfinite(epoch.arch_loss) for epoch in search] == [True, True]
    for arguments in ({"batch_size": 1}, {"batch_size": 8}):
        with pytest.raises(ValueError, match=r"at least 2"):
            Training(net, half(1, 1 if arguments["batch_size"] > 1 else 8), **arguments)


def test_records_are_frozen() -> None:
    epoch = next(iter(new_search()))
    assert isinstance(epoch, SearchEpoch)
    with pytest.raises(AttributeError):
        epoch.epoch = 3  # type: ignore[misc]


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Any) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"a": torch.ones(2)})
    with pytest.raises(TypeError, match="a function cannot be kept"):
        save_checkpoint(path, {"a": torch.zeros(2), "b": lambda: None})
    assert load_checkpoint(path)["a"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
