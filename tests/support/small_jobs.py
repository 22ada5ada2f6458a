"""Small searches and trainings that the core's tests share."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.images.data import Batches, MemoryBatches
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.optimizers import optimizer_tensors
from pcdarts_tune.core.supernet import Supernet
from support.replay import as_on_cuda

TIMES = {"seconds", "images_per_second", "peak_memory_bytes"}


def half(seed: int, count: int = 20) -> MemoryBatches:
    """Small images whose brightness tells their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = (
        torch.randint(0, 100, (count, 1, 8, 8), generator=generator) + 100 * labels[:, None, None, None]
    ).byte()
    return MemoryBatches(
        images, labels, num_classes=2, mean=(0.4,), std=(0.3,), augment=Augmentation(1, True, 2)
    )


def new_search(mixing: str = "shuffle", alphas: int = 20, **arguments: Any) -> Search:
    torch.manual_seed(0)
    net = Supernet(4, 3, 2, num_classes=2, in_channels=1, nodes=2, mixing=mixing)
    values = {"epochs": 4, "batch_size": 8, "arch_warmup_epochs": 1, "arch_learning_rate": 0.05} | arguments
    return Search(net, half(1), half(2, alphas), validate=half(3), **values)


def comparable(epochs: list[Any]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(e, f.name) for f in fields(e) if f.name not in TIMES) for e in epochs]


Job = Search | Training
EPOCHS = 3


def small_search(**arguments: Any) -> Search:
    """Of 3 epochs, the first without architecture steps, with a batch of 8 and one of 4."""
    torch.manual_seed(0)
    net = Supernet(4, 3, 2, num_classes=2, in_channels=1, nodes=1)
    settings = {"epochs": EPOCHS, "arch_warmup_epochs": 1, "arch_learning_rate": 0.05} | arguments
    return Search(net, half(1, 12), half(2, 12), batch_size=8, validate=half(3, 12), **settings)


def small_training(**arguments: Any) -> Training:
    """Of 3 epochs, the first without drop path."""
    torch.manual_seed(0)
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 2, in_channels=1)
    settings = {"epochs": EPOCHS, "drop_path": 0.5} | arguments
    return Training(net, half(1, 12), half(3, 12), batch_size=8, **settings)


def kernel_by_kernel(job: Job) -> Job:
    """The job as on CUDA, but for the graphs."""
    as_on_cuda(job)
    job.graphs.reason = "to compare with"
    return job


def network(job: Job) -> torch.nn.Module:
    return job.supernet if isinstance(job, Search) else job.network


def same_state(one: Job, other: Job) -> None:
    for (name, p), q in zip(
        network(one).state_dict().items(), network(other).state_dict().values(), strict=True
    ):
        assert torch.equal(p, q), name
    for p, q in zip(optimizer_tensors(one.optimizer), optimizer_tensors(other.optimizer), strict=True):
        assert torch.equal(p, q)


def gathered(batches: Batches, batch_size: int, **keys: int) -> tuple[Tensor, Tensor]:
    """An epoch in the order of the samples, whatever order it came in."""
    parts = list(batches.epoch(batch_size, epoch=keys.get("epoch", 0), seed=keys.get("seed", 0)))
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    order = y.argsort()
    return x[order], y[order]
