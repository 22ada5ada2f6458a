"""GDAS (Dong & Yang, CVPR 2019): sampled operations, their gradient, the temperature."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from support.small_jobs import comparable, new_search
from test_supernet import twins

from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.checkpoints import load_checkpoint, save_checkpoint
from pcdarts_tune.core.supernet import Supernet

TINY: dict[str, Any] = {"channels": 8, "layers": 3, "num_classes": 3, "nodes": 2, "k": 2}


def test_one_operation_an_edge_with_the_gradient_of_the_relaxed_sample() -> None:
    net = Supernet(**TINY).double()
    with torch.no_grad():
        for parameter in net.arch_parameters():
            parameter.normal_()
    net.sample_operations(0.7)
    torch.manual_seed(5)
    weights = net.operation_weights()
    torch.manual_seed(5)
    gumbels = [-torch.empty_like(alpha).exponential_().log() for alpha in net.alphas().values()]
    for gumbel, (kind, alpha) in zip(gumbels, net.alphas().items(), strict=True):
        relaxed = torch.softmax((torch.log_softmax(alpha, 1) + gumbel) / 0.7, dim=1)
        hard = torch.zeros_like(relaxed)
        hard[range(5), relaxed.argmax(dim=1).tolist()] = 1
        torch.testing.assert_close(weights[kind], hard, rtol=0, atol=1e-10)
        direction = torch.randn_like(relaxed)
        (mine,) = torch.autograd.grad((weights[kind] * direction).sum(), alpha, retain_graph=True)
        (expected,) = torch.autograd.grad((relaxed * direction).sum(), alpha)
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)


def test_operations_are_sampled_by_their_softmax_and_the_likeliest_is_taken_in_evaluation() -> None:
    torch.manual_seed(0)
    net = Supernet(**TINY)
    with torch.no_grad():
        net.alpha_normal.normal_()
    net.sample_operations(10.0)
    counts = sum(net.operation_weights()["normal"].detach().round() for _ in range(3000))
    assert isinstance(counts, torch.Tensor)
    shares = torch.softmax(net.alpha_normal.detach(), dim=1)
    assert (counts / 3000 - shares).abs().max() < 5 * 0.5 / 3000**0.5
    fixed = net.eval().operation_weights()["normal"]
    assert fixed.argmax(dim=1).equal(net.alpha_normal.argmax(dim=1)) and fixed.sum() == 5


def test_both_forms_sample_alike() -> None:
    fast, textbook = twins(**TINY)
    x, outputs = torch.randn(4, 3, 8, 8, dtype=torch.float64), []
    for net in (fast, textbook):
        net.sample_operations(0.3)
        torch.manual_seed(2)
        outputs.append(net(x))
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-10)
    for mine, its in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-9, atol=1e-10)


def test_the_temperature_falls_linearly_and_a_search_goes_on_bit_for_bit(tmp_path: Any) -> None:
    def new() -> Search:
        return new_search(temperatures=(10.0, 0.1))

    whole, seen = new(), []
    expected = []
    for epoch in whole:
        expected.append(epoch)
        assert whole.supernet.temperature is not None
        seen.append(whole.supernet.temperature.item())
    assert seen == pytest.approx([10.0, 6.7, 3.4, 0.1])
    assert expected[-1].genotype == whole.supernet.genotype()
    assert sum(expected[-1].alpha_normal[0]) == pytest.approx(1) and max(expected[-1].alpha_normal[0]) < 1
    first = new()
    begun = list(islice(first, 2))
    save_checkpoint(tmp_path / "c.pt", first.state_dict())
    second = new()
    second.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    assert comparable(begun + list(second)) == comparable(expected)


@pytest.mark.parametrize("other", [{"order": 2}, {"tune_epochs": 1}, {"log_hessian": 1}])
def test_what_does_not_go_with_it_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sampled operations"):
        new_search(temperatures=(10.0, 0.1), **other)


def test_a_space_says_it_and_what_does_not_go_with_it_is_refused() -> None:
    from pcdarts_tune.errors import UserError
    from pcdarts_tune.spaces.load import read_space

    assert read_space("cifar10", ["search.method=gdas"]).search.trained_epochs == 50
    for setting in ("search.order=2", "search.log_hessian=1", "derive.method=perturbation"):
        with pytest.raises(UserError, match="method: gdas samples operations"):
            read_space("cifar10", ["search.method=gdas", setting])
