"""The dominant eigenvalue of the architecture's Hessian against the whole Hessian, and that a search does not notice it."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from support.small_jobs import comparable, new_search
from torch import Tensor
from torch.func import functional_call

from pcdarts_tune.core.balance import cross_entropy
from pcdarts_tune.core.hessian import architecture_eigenvalue, dominant_eigenvalue
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet


def whole_hessian(
    net: torch.nn.Module, images: Tensor, labels: Tensor, class_weights: Tensor | None
) -> Tensor:
    named = {n: p.detach() for n, p in net.named_parameters() if n.startswith(("alpha", "beta"))}

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([p.numel() for p in named.values()])
        values = {n: part.view_as(p) for (n, p), part in zip(named.items(), parts, strict=True)}
        buffers = {n: b.clone() for n, b in net.named_buffers()}
        return cross_entropy(functional_call(net, {**values, **buffers}, (images,)), labels, class_weights)

    start = torch.cat([p.reshape(-1) for p in named.values()])
    hessian = torch.autograd.functional.hessian(loss, start)
    assert isinstance(hessian, Tensor)
    return hessian


@pytest.mark.parametrize("form", [Supernet, TextbookSupernet])
@pytest.mark.parametrize(
    ("family", "nodes", "edge_normalization"),
    [("darts", 2, True), ("darts", 1, False), ("nasbench201", 4, True)],
)
def test_it_is_that_of_the_whole_hessian(
    form: Any, family: str, nodes: int, edge_normalization: bool
) -> None:
    torch.manual_seed(3)
    net = form(
        4,
        3,
        2,
        num_classes=3,
        in_channels=1,
        nodes=nodes,
        family=family,
        edge_normalization=edge_normalization,
    ).double()
    images, labels = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    for class_weights in (None, torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)):
        values = torch.linalg.eigvalsh(whole_hessian(net, images, labels, class_weights))
        expected = float(values[values.abs().argmax()])
        found = architecture_eigenvalue(net, images, labels, class_weights=class_weights)
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "values", [(3.0, -5.0, 1.0), (2.0, -2.0, 0.1), (4.0, 4.0, -1.0), (0.0, 0.0, 0.0), (-7.0,)]
)
def test_the_largest_magnitude_has_its_sign(values: tuple[float, ...]) -> None:
    size = len(values)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(1)).double())
    matrix = basis @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ basis.T
    found = dominant_eigenvalue(lambda v: matrix @ v, size)
    largest = max(map(abs, values))
    assert abs(found) == pytest.approx(largest, abs=1e-12)
    assert min(abs(found - value) for value in values) < 1e-9


def test_a_hessian_that_is_not_finite_has_none() -> None:
    assert math.isnan(dominant_eigenvalue(lambda v: v * math.inf, 3))


@pytest.mark.parametrize("options", [{}, {"order": 2}, {"mixing": "random"}])
def test_a_search_is_the_same_with_and_without_it(options: dict[str, Any]) -> None:
    torch.manual_seed(11)
    plain, logged = new_search(**options), new_search(log_hessian=2, **options)
    generator = torch.random.get_rng_state()
    records, with_values = list(plain), list(logged)
    assert torch.equal(torch.random.get_rng_state(), generator)
    values = [record.hessian_eigenvalue for record in with_values]
    assert values[0] is None and values[2] is None
    assert all(value is not None and math.isfinite(value) and value != 0 for value in (values[1], values[3]))
    assert values[1] != values[3]
    assert with_values[1].metrics()["arch/hessian_eigenvalue"] == values[1]
    assert (
        "arch/hessian_eigenvalue" not in records[1].metrics()
        and "arch/hessian_eigenvalue" not in with_values[0].metrics()
    )
    at = [f.name for f in fields(records[0])]
    assert "hessian_eigenvalue" in at
    drop = {"hessian_eigenvalue": None}
    bare = [record.__class__(**{**{n: getattr(record, n) for n in at}, **drop}) for record in with_values]
    assert comparable(bare) == comparable(records)
    states = plain.state_dict(), logged.state_dict()
    for one, other in zip(*(state["supernet"].values() for state in states), strict=True):
        assert torch.equal(one, other)
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in logged.supernet.parameters()
    )
    assert str(plain.optimizer.state_dict()) == str(logged.optimizer.state_dict())
