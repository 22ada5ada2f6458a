"""Learning rates and drop path by epoch, and label smoothing and cutout as published."""

from __future__ import annotations

import pytest
import torch
from support.formula import load_reference

from pcdarts_tune.core.steps.optimizers import drop_path_probability, learning_rate

REFERENCE = load_reference("schedules.json")
SETTINGS = {
    "pcdarts_cifar_search(50, 0.1->0)": ("cosine", 50, 0.1, {}),
    "pcdarts_V100_cifar_search(50, 0.1->0.001)": ("cosine", 50, 0.1, {"minimum": 0.001}),
    "darts_cifar_search(50, 0.025->0.001)": ("cosine", 50, 0.025, {"minimum": 0.001}),
    "cifar_eval(600, 0.025->0)": ("cosine", 600, 0.025, {}),
    "pcdarts_imagenet_search(50, 0.5->0, warm-up 5)": ("cosine", 50, 0.5, {"warmup": 5}),
    "imagenet_eval_linear(250, 0.5, warm-up 5)": ("linear", 250, 0.5, {"warmup": 5}),
    "imagenet_eval_cosine(250, 0.5, warm-up 5)": ("cosine", 250, 0.5, {"warmup": 5}),
    "darts_imagenet_eval(250, StepLR 0.97/epoch from 0.1)": ("step", 250, 0.1, {}),
}


def test_every_schedule_of_the_reference_is_tested() -> None:
    assert set(SETTINGS) == set(REFERENCE["lr"])
    assert set(REFERENCE["drop_path_prob"]) == {"cifar_eval(0.3*e/600)", "darts_cifar_eval(0.2*e/600)"}


@pytest.mark.parametrize("name", SETTINGS)
def test_learning_rates_equal_the_reference(name: str) -> None:
    schedule, epochs, base, rest = SETTINGS[name]
    rates = [learning_rate(schedule, epoch, epochs, base, **rest) for epoch in range(epochs)]
    assert rates == pytest.approx(REFERENCE["lr"][name], rel=0, abs=1e-12)


def test_todays_pytorch_with_the_published_call_order_is_not_reproduced() -> None:
    """Trap 1."""
    wrong = REFERENCE["what_torch_2_15_gives_with_reference_call_order"]["cifar_search_used_lr"]
    assert learning_rate("cosine", 0, 50, 0.1) == 0.1 != wrong[0]


@pytest.mark.parametrize(
    ("name", "final"), [("cifar_eval(0.3*e/600)", 0.3), ("darts_cifar_eval(0.2*e/600)", 0.2)]
)
def test_drop_path_equals_the_reference(name: str, final: float) -> None:
    values = [drop_path_probability(epoch, 600, final) for epoch in range(600)]
    assert values == pytest.approx(REFERENCE["drop_path_prob"][name], rel=0, abs=1e-12)


def test_short_schedules_end_and_unknown_ones_are_refused() -> None:
    for schedule in ("cosine", "linear", "step"):
        rates = [learning_rate(schedule, epoch, 3, 0.1, warmup=1) for epoch in range(3)]
        assert all(0 < rate <= 0.1 for rate in rates)
    assert learning_rate("linear", 0, 1, 0.1) > 0
    with pytest.raises(ValueError, match="cosine, linear, step"):
        learning_rate("cosin", 0, 3, 0.1)


def test_label_smoothing_is_pytorchs() -> None:
    case = load_reference("small_pieces.json")["label_smoothing"]
    logits, targets = torch.tensor(case["logits"], dtype=torch.float64), torch.tensor(case["targets"])
    loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=case["eps"])
    assert float(loss) == pytest.approx(case["loss"], abs=1e-12)
