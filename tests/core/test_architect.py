"""First- and second-order architecture steps against the reference, and whole search steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.filling import batch, reference_supernet
from support.formula import load_reference
from torch.nn import functional as F

from pcdarts_tune.core.architect import Architect, differentiate_only
from pcdarts_tune.core.architecture import architecture_names
from pcdarts_tune.core.genotype import FAMILIES
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

UNROLLED = load_reference("unrolled_gradient.json")["cases"]
TRAJECTORIES = load_reference("search_trajectory.json")["cases"]

ARCHITECTURE_NAMES = architecture_names(FAMILIES["darts"])


def sgd(net: Supernet | TextbookSupernet, rate: float) -> torch.optim.SGD:
    return torch.optim.SGD(net.weight_parameters(), lr=rate, momentum=0.9, weight_decay=3e-4)


def assert_relative(actual: dict[str, torch.Tensor], expected: dict[str, Any], tolerance: float) -> None:
    """Relative to the largest entry of each tensor."""
    for name, value in actual.items():
        target = torch.tensor(expected[name], dtype=value.dtype)
        assert float((value - target).abs().max()) <= tolerance * float(target.abs().max()), name


@pytest.mark.parametrize("form", [Supernet, TextbookSupernet])
@pytest.mark.parametrize("case", UNROLLED, ids=lambda case: case["name"])
def test_second_order_gradients_equal_the_reference(case: dict[str, Any], form: type) -> None:
    for hessian, field in (
        ("finite_difference", "grad_unrolled_reference"),
        ("exact", "grad_unrolled_exact_autograd"),
    ):
        net = reference_supernet(case, form)
        architect = Architect(net, order=2, hessian=hessian)
        before = {name: value.clone() for name, value in net.state_dict().items() if "running" not in name}
        train = batch(case, case["train_seed"], [1, 4, 7, 0])
        valid = batch(case, case["valid_seed"], [2, 9, 6, 3])
        loss, _, gradients = architect.unrolled_gradients(*valid, *train, sgd(net, case["eta"]))
        assert float(loss) == pytest.approx(case["unrolled_valid_loss"], rel=1e-9)
        assert_relative(dict(zip(ARCHITECTURE_NAMES, gradients, strict=True)), case[field], 1e-6)
        after = net.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items() if "batches" not in name)
    net = reference_supernet(case, form)
    first = Architect(net).gradients(*valid)[2]
    expected = case["grad_first_order_same_valid_batch"]
    assert_relative(dict(zip(ARCHITECTURE_NAMES, first, strict=True)), expected, 1e-9)


@pytest.mark.parametrize("form", [Supernet, TextbookSupernet])
@pytest.mark.parametrize("case", TRAJECTORIES, ids=lambda case: case["name"])
def test_search_steps_equal_the_reference(case: dict[str, Any], form: type) -> None:
    single, unrolled = "float32" in case["name"], case["unrolled"]
    tolerance = 1e-5 if single else 1e-6 if unrolled else 1e-9
    net = reference_supernet(case, form)
    optimizer = sgd(net, case["steps"][0]["lr"])
    architect = Architect(net, order=2 if unrolled else 1)
    for step in case["steps"]:
        optimizer.param_groups[0]["lr"] = step["lr"]
        train = batch(case, step["train_input_seed"], step["train_targets"])
        valid = batch(case, step["valid_input_seed"], step["valid_targets"])
        if step["arch_step"]:
            loss, _ = architect.step(*valid, *train, weight_optimizer=optimizer)
            if "valid_loss_before_arch_step" in step:
                assert float(loss) == pytest.approx(step["valid_loss_before_arch_step"], rel=tolerance)
        with differentiate_only(net.weight_parameters(), net.arch_parameters()):
            train_loss = F.cross_entropy(net(train[0]), train[1])
            train_loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.weight_parameters(), case["optimizer_w"]["clip_l2"])
        optimizer.step()
        optimizer.zero_grad()
        assert float(train_loss.detach()) == pytest.approx(step["train_loss"], rel=tolerance)
        assert float(norm) == pytest.approx(step["grad_norm_before_clip"], rel=tolerance)
        weights = torch.cat([p.detach().flatten() for p in net.weight_parameters()])
        assert float(weights.norm()) == pytest.approx(step["weights_l2"], rel=tolerance)
        assert float(weights.sum()) == pytest.approx(step["weights_sum"], rel=tolerance)
        expected_bias = torch.tensor(step["classifier_bias"], dtype=weights.dtype)
        torch.testing.assert_close(
            net.classifier.bias.detach(), expected_bias, rtol=tolerance, atol=tolerance
        )
        for name, values in step["arch"].items():
            actual = getattr(net, name).detach()
            torch.testing.assert_close(
                actual, torch.tensor(values, dtype=actual.dtype), rtol=tolerance, atol=tolerance
            )
        assert net.genotype().to_dict() == step["genotype"]


def test_an_architecture_step_moves_betas_and_leaves_weights_alone() -> None:
    """Trap 10: beta must not be detached."""
    torch.manual_seed(0)
    net = Supernet(8, 3, 4)
    weights = [p.detach().clone() for p in net.weight_parameters()]
    arch = [p.detach().clone() for p in net.arch_parameters()]
    Architect(net).step(torch.randn(4, 3, 8, 8), torch.arange(4))
    assert all(torch.equal(p, before) for p, before in zip(net.weight_parameters(), weights, strict=True))
    assert all(not torch.equal(p, before) for p, before in zip(net.arch_parameters(), arch, strict=True))
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_architecture_gradients_are_clipped_only_when_asked() -> None:
    torch.manual_seed(0)
    net = Supernet(8, 3, 4)
    x, y = torch.randn(4, 3, 8, 8), torch.arange(4)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    moved = []
    for clip in (None, 1e-9):
        net.load_state_dict(state)
        Architect(net, weight_decay=0.0, grad_clip=clip).step(x, y)
        moved.append(float((net.alpha_normal - state["alpha_normal"]).abs().max().detach()))
    assert moved[1] < 0.2 * moved[0]  # Adam's epsilon shows against a gradient of 1e-9


def test_wrong_orders_are_refused() -> None:
    net = Supernet(4, 3, 4)
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        Architect(net, order=3)
    with pytest.raises(ValueError, match="hessian must be one of finite_difference, exact"):
        Architect(net, hessian="approximate")
    with pytest.raises(ValueError, match="training batch"):
        Architect(net, order=2).step(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]))
