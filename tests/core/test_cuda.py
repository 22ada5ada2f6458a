"""On a GPU: captured steps equal launched ones, nothing waits, and each precision is what it says. Skipped without CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.small_jobs import half
from torch.nn import functional as F

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.execution import autocast, use_precision
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: there is no GPU here")

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def batches(seed: int, device: torch.device) -> MemoryBatches:
    data = half(seed)
    return MemoryBatches(
        data.images, data.labels, num_classes=2, mean=(0.4,), std=(0.3,), augment=data.augment, device=device
    )


def search(device: torch.device = GPU, **arguments: Any) -> Search:
    torch.manual_seed(0)
    net = Supernet(8, 3, 2, num_classes=2, in_channels=1, nodes=2).to(device)
    settings = {"epochs": 4, "batch_size": 8, "arch_warmup_epochs": 1, "learning_rate": 0.02} | arguments
    return Search(net, batches(1, device), batches(2, device), validate=batches(3, device), **settings)


def training(device: torch.device = GPU, **arguments: Any) -> Training:
    torch.manual_seed(0)
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 8, 3, 2, in_channels=1).to(device)
    settings = {"epochs": 4, "batch_size": 8, "drop_path": 0.4, "learning_rate": 0.02} | arguments
    return Training(net, batches(1, device), batches(3, device), **settings)


JOBS: dict[str, Callable[..., Search | Training]] = {
    "search": search,
    "second order": lambda **arguments: search(order=2, **arguments),
    "training": training,
    "averaged, mixed": lambda **arguments: training(ema_decay=0.8, mixup=0.2, cutmix=1.0, **arguments),
}


@pytest.mark.parametrize("precision", ["float32", "bf16", "tf32"])
@pytest.mark.parametrize("kind", JOBS)
def test_graphed_steps_equal_launched_ones(kind: str, precision: str) -> None:
    launched = JOBS[kind](graphs=False, precision=precision)
    graphed = JOBS[kind](graphs=True, precision=precision)
    tolerance = 2e-3 if precision == "float32" else 5e-2  # a GPU adds in another order each time
    for a, b in zip(launched, graphed, strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=tolerance, abs=tolerance)
        assert b.valid_loss == pytest.approx(a.valid_loss, rel=10 * tolerance, abs=10 * tolerance)
    assert graphed.execution()["graphs"] == "on"
    assert launched.execution()["graphs"] == "off: not wanted"


@pytest.mark.parametrize("kind", ["search", "training"])
def test_the_default_captures_and_goes_on_from_a_checkpoint(kind: str) -> None:
    whole, first, second = (JOBS[kind]() for _ in range(3))
    expected = [epoch.train_loss for epoch in whole]
    assert whole.execution()["graphs"] == "on", whole.execution()
    steps = iter(first)
    begun = [next(steps).train_loss, next(steps).train_loss]
    next(iter(second))
    second.load_state_dict(first.state_dict())
    got = begun + [epoch.train_loss for epoch in second]
    assert got == pytest.approx(expected, rel=5e-3, abs=5e-3)


@pytest.mark.parametrize("kind", ["search", "training"])
def test_the_gpu_computes_what_the_cpu_computes(kind: str) -> None:
    """Without drop path, whose masks are another device's."""
    settings = {"epochs": 2} | ({"drop_path": 0.0} if kind == "training" else {})
    on_cpu, on_gpu = JOBS[kind](device=CPU, **settings), JOBS[kind](device=GPU, **settings)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("kind", JOBS)
def test_no_step_waits_for_the_gpu(kind: str, graphs: bool) -> None:
    job = JOBS[kind](graphs=graphs)
    epochs = iter(job)
    next(epochs), next(epochs)  # everything is captured
    run = job.graphs.run

    def watched(*args: Any) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            run(*args)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    job.graphs.run = watched  # type: ignore[method-assign]
    next(epochs)


def test_batches_come_without_waiting() -> None:
    data = batches(1, GPU)
    list(data.epoch(8, epoch=0, seed=0))
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(data.epoch(8, epoch=1, seed=0))) == 3
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_precisions_round_as_they_say() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(8, 64, 16, 16), torch.randn(64, 64, 3, 3)
    exact = F.conv2d(x.double(), w.double())
    errors = {}
    for precision in ("float32", "tf32", "bf16"):
        with use_precision(GPU, precision), autocast(GPU, precision):
            got = F.conv2d(x.to(GPU), w.to(GPU)).double().cpu()
        errors[precision] = float((got - exact).norm() / exact.norm())
    assert errors["float32"] < 1e-5 < errors["tf32"] < 2e-3 < errors["bf16"] < 2e-2


@pytest.mark.parametrize("k", [1, 4])
def test_the_fast_form_equals_the_textbook_form(k: int) -> None:
    torch.manual_seed(0)
    textbook = TextbookSupernet(8, 3, k, nodes=2)
    fast = Supernet(8, 3, k, nodes=2)
    fast.load_published_state(textbook.weight_state())
    with torch.no_grad():
        for p, q in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            p.copy_(q)
    x, y = torch.randn(4, 3, 16, 16, device=GPU), torch.arange(4, device=GPU)
    losses = []
    with use_precision(GPU, "float32"):
        for net in (fast.to(GPU), textbook.to(GPU)):
            losses.append(F.cross_entropy(net(x), y))
            losses[-1].backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)
    for p, q in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)


def test_graphs_go_with_the_search_that_made_them() -> None:
    """A trial's evaluation follows its search in the same process, on a share of the GPU's memory."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    job = search(epochs=2)
    list(job)
    assert torch.cuda.memory_allocated() > before
    del job
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() - before < 2**20
