"""The networks of a plan before any is built: which ones its trials differ in, their parameters and multiply-adds.

supernet_cost(space, images)        # Cost(parameters=…, macs=…)
representative(space)               # the genotype that stands for those a sweep will find
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pcdarts_tune.core.cost import macs, parameters
from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.random_genotype import random_genotype
from pcdarts_tune.core.supernet import Supernet

if TYPE_CHECKING:
    from pcdarts_tune.config import Space, TrainConfig
    from pcdarts_tune.datasets import DataSet

STANDS_FOR_ALL = "PC_DARTS_cifar"
SCHEDULE = (
    "epochs", "batch_size", "learning_rate", "learning_rate_min", "lr_warmup_epochs", "momentum", "weight_decay",
    "grad_clip", "arch_learning_rate", "arch_betas", "arch_weight_decay", "arch_grad_clip", "arch_warmup_epochs",
)  # fmt: skip
"""Of a search: what changes neither the time nor the memory of a step, the batch apart."""


@dataclass(frozen=True)
class Cost:
    parameters: int
    macs: int


def signature(space: Space) -> str:
    """Equal for spaces whose search steps take the same time and memory with equal batches."""
    search = space.search.model_dump(mode="json", exclude=set(SCHEDULE))
    return json.dumps([space.supernet.model_dump(mode="json"), search], sort_keys=True)


def representative(space: Space) -> tuple[str, Genotype]:
    """The genotype that costs are given for: PC_DARTS_cifar, or one at random where the space could not find it."""
    published = PUBLISHED[STANDS_FOR_ALL]
    operations = {name for name, _ in (*published.normal, *published.reduce)}
    nodes, primitives = space.supernet.nodes, space.supernet.primitives
    if nodes == len(published.normal) // 2 and operations <= set(primitives):
        return STANDS_FOR_ALL, published
    return "a random genotype", random_genotype(0, nodes=nodes, primitives=primitives)


def supernet_cost(space: Space, images: DataSet) -> Cost:
    """Of the supernet as the paper draws it, one image."""
    with torch.device("meta"):  # shapes only: no memory, no time
        network = Supernet(
            **space.supernet.model_dump(), num_classes=images.num_classes, in_channels=images.in_channels
        )
    return Cost(parameters(network), macs(network, images.in_channels, images.image_size))


def network_cost(recipe: TrainConfig, genotype: Genotype, images: DataSet) -> Cost:
    """Of a derived network, without its auxiliary head."""
    from pcdarts_tune.build import network_arguments

    with torch.device("meta"):
        network = EvaluationNetwork(genotype, **{**network_arguments(recipe, images), "auxiliary": False})
    return Cost(parameters(network), macs(network, images.in_channels, images.image_size))
