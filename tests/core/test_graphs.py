"""Captured steps: equal to steps that were never captured, bit for bit, and given up without harm.

A CPU has no CUDA graphs; `replay.py` stands in for them with what they would freeze. tests/core/test_cuda.py has the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from support.replay import Replay, as_on_cuda
from support.small_jobs import (
    EPOCHS,
    Job,
    comparable,
    half,
    kernel_by_kernel,
    new_search,
    same_state,
    small_search,
    small_training,
)

from pcdarts_tune.core.fast import normalize
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.steps.graphs import MOST, StepGraphs
from pcdarts_tune.core.steps.optimizers import (
    adam,
    load_optimizer,
    move_rate_to,
    optimizer_state,
    optimizer_tensors,
    set_learning_rate,
    sgd,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _the_form_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalize, "FOLDED_ON", set())


JOBS: dict[str, Callable[[], Job]] = {
    "search": small_search,
    "second order": lambda: small_search(order=2),
    "clipped, decaying": lambda: small_search(grad_clip=0.5, arch_grad_clip=0.1, weight_decay=0.01),
    "training": small_training,
}


@pytest.mark.parametrize("kind", JOBS)
def test_replayed_steps_equal_launched_ones(kind: str) -> None:
    """Rates, drop path and random numbers change between epochs; the last batch is smaller."""
    launched, replayed = kernel_by_kernel(JOBS[kind]()), JOBS[kind]()
    recorders = as_on_cuda(replayed)
    assert comparable(list(replayed)) == comparable(list(launched))
    same_state(replayed, launched)
    (recorder,) = recorders
    # search: weights alone, then pairs; training: without drop path, then with it; and the evaluation: for 8 and for 4
    assert recorder.recorded == 6
    assert recorder.replayed == EPOCHS * (2 + 2)
    assert replayed.execution()["graphs"] == "on"
    assert launched.execution()["graphs"] == "off: to compare with"


@pytest.mark.parametrize(("kind", "stop"), [("search", 2), ("training", 1)])
def test_an_interrupted_job_captures_anew_and_goes_on_the_same(kind: str, stop: int) -> None:
    whole, first, second = (JOBS[kind]() for _ in range(3))
    as_on_cuda(whole)
    expected = comparable(list(whole))
    as_on_cuda(first)
    begun = list(islice(first, stop))
    recorders = as_on_cuda(second)
    next(iter(second))  # graphs of tensors that the state will replace
    second.load_state_dict(first.state_dict())
    assert comparable(begun + list(second)) == expected
    same_state(second, whole)
    assert len(recorders) == 2


def test_rehearsing_leaves_no_trace() -> None:
    job = small_search(arch_warmup_epochs=0)
    recorders = as_on_cuda(job)
    before = {name: value.clone() for name, value in job.supernet.state_dict().items()}
    images, labels = next(iter(job.weights.epoch(8, epoch=0, seed=0)))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    graph = job.graphs._capture(job.step_pair, (images, labels, images, labels))
    assert graph is not None
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], value) for name, value in job.supernet.state_dict().items())
    made = optimizer_tensors(job.optimizer) + optimizer_tensors(job.architect.optimizer)
    assert len(made) > 20
    assert all(not tensor.any() for tensor in [*made, job.loop.trained.sums, job.loop.searched.sums])
    assert all(p.grad is None for p in job.supernet.parameters())
    assert [(r.recorded, r.replayed) for r in recorders] == [(1, 0)]


class Refusing(Replay):
    """Captures nothing, as a step that waits for the device cannot be captured."""

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        super().record(lambda: (step(), torch.ones(1).item()))
        raise AssertionError("item() was let through")


def test_a_capture_that_fails_is_given_up_with_its_reason() -> None:
    launched, refused = kernel_by_kernel(small_search()), small_search()
    as_on_cuda(refused)
    refused.graphs.new_recorder = lambda: Refusing(refused.graphs)
    assert comparable(list(refused)) == comparable(list(launched))
    same_state(refused, launched)
    said = refused.execution()["graphs"]
    assert said.startswith("off: the capture failed: operation not permitted"), said
    assert "_local_scalar_dense" in said


def test_a_capture_that_fails_ends_the_job_where_graphs_are_insisted_on() -> None:
    job = small_search()
    as_on_cuda(job)
    job.graphs.new_recorder, job.graphs.insist = lambda: Refusing(job.graphs), True
    with pytest.raises(RuntimeError, match="operation not permitted"):
        list(job)


def test_a_cpu_captures_nothing_and_says_so() -> None:
    assert small_search().execution() == {
        "precision": "float32",
        "compile": "off",
        "graphs": "off: the device is cpu",
        "device": "CPU",
    }
    assert small_search(graphs=False).execution()["graphs"] == "off: not wanted"
    with pytest.raises(ValueError, match="cannot be captured as CUDA graphs: the device is cpu"):
        small_training(graphs=True)
    with pytest.raises(ValueError, match="graphs must be 'auto', True or False"):
        small_training(graphs="yes")


def test_random_mixing_is_never_captured() -> None:
    assert new_search("random").execution()["graphs"] == "off: the device is cpu"
    gpu = torch.device("cuda")  # only named: nothing is put there
    graphs = StepGraphs(gpu, "auto", list, unfit="random mixing draws anew in each step")
    assert graphs.reason == "random mixing draws anew in each step"
    assert StepGraphs(gpu, "auto", list).reason is None
    with pytest.raises(ValueError, match="random mixing"):
        StepGraphs(gpu, True, list, unfit="random mixing draws anew in each step")


def test_only_so_many_shapes_are_captured() -> None:
    """Batches that lose damaged files come in every size."""
    total = torch.zeros(())
    graphs = StepGraphs(CPU, "auto", lambda: [total])
    made: list[Replay] = []
    graphs.reason, graphs.new_recorder = None, lambda: made.append(Replay(graphs)) or made[-1]
    for size in [*range(1, MOST + 4), 2]:
        graphs.run("sum", lambda x: total.add_(x.sum()), torch.ones(size))
    assert float(total) == sum(range(1, MOST + 4)) + 2
    assert made[0].recorded == MOST
    assert made[0].replayed == MOST + 1


@pytest.mark.parametrize("make", [sgd, adam])
def test_a_checkpoint_goes_from_device_to_device(make: Any) -> None:
    """How an optimizer computes is its device's; what it has learned, and the rate, go with it."""

    def parameters() -> list[torch.nn.Parameter]:
        torch.manual_seed(0)
        return [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]

    settings: dict[str, Any] = {"lr": 0.1} | ({"momentum": 0.9} if make is sgd else {})
    gpu_weights, cpu_weights = parameters(), parameters()
    gpu = make(gpu_weights, CPU, **settings, fused=True)
    move_rate_to(gpu, CPU)
    cpu = make(cpu_weights, CPU, **settings)
    rate = gpu.param_groups[0]["lr"]
    for _ in range(2):
        for optimizer, weights in ((gpu, gpu_weights), (cpu, cpu_weights)):
            set_learning_rate(optimizer, 0.05)
            for p in weights:
                p.grad = torch.ones_like(p)
            optimizer.step()
        saved, kept = optimizer_state(gpu), optimizer_state(cpu)
        assert type(saved["param_groups"][0]["lr"]) is float
        load_optimizer(cpu, saved)
        load_optimizer(gpu, kept)
        assert gpu.param_groups[0]["lr"] is rate
        assert float(rate) == pytest.approx(0.05)
        assert gpu.param_groups[0]["fused"] is True
        assert cpu.param_groups[0]["lr"] == pytest.approx(0.05)
        assert not cpu.param_groups[0]["fused"]
    for p, q in zip(gpu_weights, cpu_weights, strict=True):
        torch.testing.assert_close(p, q)


def test_batches_without_augmentation_replay_too() -> None:
    """A chunk of several batches is one tensor: what is captured must be a copy of its own."""
    data = half(1)
    batches = MemoryBatches(data.images, data.labels, num_classes=2, mean=(0.4,), std=(0.3,))
    job = small_training(epochs=2)
    job.train = batches
    other = kernel_by_kernel(small_training(epochs=2))
    other.train = batches
    as_on_cuda(job)
    assert comparable(list(job)) == comparable(list(other))
