"""The networks of a plan before any is built: which ones its trials differ in, their parameters and multiply-adds.

supernet_cost(space, images)        # Cost(parameters=…, macs=…)
representative(space)               # the genotype that stands for those a sweep will find

What a sweep would propose, drawn from a study in memory as the sweep's own would draw it.

draw(space, settings, trials=32)[0].hyperparameters
sizes(space)        # the ends of what decides a step's memory: [{"supernet.k": 1, "search.batch_size": 64}, ...]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from pcdarts_tune.core.cost import macs, parameters
from pcdarts_tune.core.genotype import PUBLISHED, Genotype, random_genotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.spaces.tuning import assignments, varied

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.recipes import TrainConfig
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.sweep import SweepSettings
    from pcdarts_tune.tasks import Proposal

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
    from pcdarts_tune.training.build import network_arguments

    with torch.device("meta"):
        network = EvaluationNetwork(genotype, **{**network_arguments(recipe, images), "auxiliary": False})
    return Cost(parameters(network), macs(network, images.in_channels, images.image_size))


MOST_DRAWN = 64
"""Proposals drawn at the most; what more trials cost is scaled from these."""
MOST_SIZES = 24


def draw(space: Space, settings: SweepSettings, trials: int) -> list[Proposal]:
    """The first proposals of a sweep of so many trials.

    Exact for those that do not depend on results: the space's own values, a grid, and random draws. A sampler that
    learns proposes something else once enough trials have ended; its later proposals stand here as random ones.
    """
    from pcdarts_tune.sweeps.study.study import SweepStudy
    from pcdarts_tune.sweeps.sweep import study_settings

    study = SweepStudy.unsaved(**study_settings(space, settings))
    return [study.ask(trials) for _ in range(min(trials, MOST_DRAWN))]


def sizes(space: Space) -> list[dict[str, Any]]:
    """Every combination of the ends of the ranges that decide how large a step is; one empty one where none does."""
    keys = [key for key in varied(space.tune) if decides_size(key)]
    return list(islice(assignments(space.tune, keys, every=False), MOST_SIZES))


def decides_size(key: str) -> bool:
    """Whether a step's time and memory hang on this key."""

    return key == "search.batch_size" or key.removeprefix("search.") not in SCHEDULE
