"""The epoch loop waits for nothing: counted on a CPU, and by PyTorch's own rules for CUDA tensors.

Whatever makes the host wait for a GPU (reading a number, branching on one, an index that depends on values, a copy to or
from the host) may happen a fixed number of times at the end of an epoch, and never in a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from support.fake_cuda import CUDA, WAITS, Launches, autocast_bf16, fake_cuda, moved
from support.replay import as_on_cuda
from support.small_jobs import half
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pcdarts_tune.core.fast import normalize
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.execution import promote_logits
from pcdarts_tune.core.steps.meter import Meter
from pcdarts_tune.core.supernet import Supernet


@pytest.fixture(autouse=True)
def _the_form_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalize, "FOLDED_ON", set())


READS = ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""Methods of a tensor that read its values on the host; on a CPU some do so without launching anything."""


class Waiting(TorchDispatchMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS or (
            name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        ):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes everything that would wait on CUDA."""
    seen: list[str] = []

    def noted(method: Callable[..., Any], name: str) -> Callable[..., Any]:
        def read(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return method(self, *args, **kwargs)

        return read

    with monkeypatch.context() as patched, Waiting(seen):
        for name in READS:
            patched.setattr(Tensor, name, noted(getattr(Tensor, name), name))
        yield seen


def a_search(images: int, **arguments: Any) -> Search:
    net = Supernet(4, 3, 2, num_classes=2, in_channels=1, nodes=1)
    values = {"epochs": 3, "batch_size": 4, "arch_warmup_epochs": 0, "arch_grad_clip": 5.0} | arguments
    return Search(net, half(1, images), half(2, images), **values)


def a_training(images: int, **arguments: Any) -> Training:
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 2, in_channels=1)
    return Training(net, half(1, images), epochs=3, batch_size=4, drop_path=0.4, **arguments)


@pytest.mark.parametrize(
    "job",
    [
        a_search,
        lambda images: a_search(images, order=2),
        lambda images: a_search(images, precision="bf16"),
        a_training,
        lambda images: a_training(images, ema_decay=0.9),
    ],
    ids=["search", "second order", "bf16", "training", "averaged"],
)
def test_an_epoch_waits_as_often_however_many_steps_it_has(
    job: Callable[[int], Search | Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    for images in (8, 20):  # two steps and five
        work = job(images)
        as_on_cuda(work)
        work.graphs.reason = "steps are counted one by one"
        in_steps: list[str] = []
        run = work.graphs.run
        epochs = iter(work)
        next(epochs)  # the optimizers make their buffers
        with counted(monkeypatch) as seen:

            def watched(*args: Any, seen: Any = seen, run: Any = run, in_steps: Any = in_steps) -> None:
                before = len(seen)
                run(*args)
                in_steps += seen[before:]

            work.graphs.run = watched  # type: ignore[method-assign]
            next(epochs)
        assert in_steps == []
        waits.append(seen)
    assert waits[0] == waits[1]
    assert len(waits[0]) <= 25  # the meters, the tables of alphas and betas, the genotype


def test_what_is_counted_is_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter sees each kind; otherwise finding none would mean nothing."""
    x = torch.arange(3.0)
    with counted(monkeypatch) as seen:
        x.tolist()
        float(x[0])
        if x[1] > 0:
            x.nonzero()
        x[x > 1]
        torch.equal(x, x)
    assert {"tolist", "__float__", "__bool__", "nonzero", "index", "equal"} <= set(seen)


@pytest.fixture
def on_fake_cuda() -> Iterator[None]:
    """CUDA's rules."""
    if torch.cuda.is_available():
        pytest.skip("there is a real GPU: tests/core/test_cuda.py needs CUDA and has it")
    with fake_cuda():
        yield


NETWORKS: dict[str, Callable[[], Any]] = {
    "K=4": lambda: Supernet(16, 4, 4, nodes=2),
    "K=1": lambda: Supernet(16, 3, 1, nodes=2),
    "shift, no betas": lambda: Supernet(16, 3, 2, nodes=2, mixing="shift", edge_normalization=False),
    "ImageNet stem": lambda: Supernet(16, 3, 4, nodes=2, stem="imagenet"),
    "evaluation": lambda: EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 8, 4),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_a_forward_pass_on_cuda_stays_there(kind: str, bf16: bool, on_fake_cuda: None) -> None:
    """No number crosses between host and device; with bf16 all that is large is in bfloat16, statistics are not."""
    with torch.utils._python_dispatch._disable_current_modes():
        net = NETWORKS[kind]()
    moved(net)
    if isinstance(net, EvaluationNetwork):
        net.drop_path = 0.2
    side = 64 if kind == "ImageNet stem" else 32
    images = torch.randn(8, 3, side, side, device=CUDA)
    labels = torch.zeros(8, dtype=torch.int64, device=CUDA)
    meter = Meter(CUDA)

    def step() -> None:
        if bf16:
            with autocast_bf16():
                output = net(images)
        else:
            output = net(images)
        logits = output[0] if isinstance(output, tuple) else output
        loss = F.cross_entropy(promote_logits(logits), labels)
        assert loss.dtype == torch.float32
        meter.add(loss, logits, labels)

    for training in (True, False):
        net.train(training)
        with Launches() as launches:
            step()
        wanted = torch.bfloat16 if bf16 else torch.float32
        products = [
            (name, x.shape)
            for name, x in launches.made
            if name in ("convolution", "mm", "addmm", "addmm_") and x.ndim > 1 and x.dtype != wanted
        ]
        assert products == []
    assert {b.dtype for b in net.buffers()} <= {torch.float32, torch.int64}
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_augmentation_on_cuda_stays_there(on_fake_cuda: None) -> None:
    augment = Augmentation(4, True, 16)
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8, device=CUDA)
    draws = torch.zeros(8, 5, dtype=torch.int64, device=CUDA)
    constants = torch.zeros(3, 1, 1, device=CUDA), torch.ones(3, 1, 1, device=CUDA)
    rows = torch.zeros(4, dtype=torch.int64, device=CUDA)
    with Launches() as launches:
        x = augment(images.index_select(0, rows), draws[rows], *constants)
    assert x.shape == (4, 3, 32, 32)
    assert x.device == CUDA
    assert launches.made


def test_the_rules_for_cuda_refuse_what_waits(on_fake_cuda: None) -> None:
    x = torch.zeros(3, 2, device=CUDA)
    for waits in (
        lambda: x[[0, 2]],
        lambda: x.cpu(),
        lambda: torch.tensor([1.0]).to(CUDA),
        lambda: x.nonzero(),
    ):
        with pytest.raises((AssertionError, DynamicOutputShapeException)), Launches():
            waits()
