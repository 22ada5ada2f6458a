"""The networks that the trials of a plan differ in: their size, and what their steps take, measured within a time limit.

NetworkMeasurements(space, images, device, most_bytes=1e10, limit=30.0).measure(variants)       # that of most variants first
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from pcdarts_tune.core.cost import count_macs, count_parameters
from pcdarts_tune.core.genotype import PUBLISHED, AnyGenotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.datasets import DataSet, split_dataset
from pcdarts_tune.planning.forecast import NOTHING, Fit, Forecast, forecast_trial
from pcdarts_tune.planning.steps import Probe, measure
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.spaces.recipes import TrainConfig
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.training.build import build_search, build_training, network_arguments

EXAMPLE = "PC_DARTS_cifar"
"""The published genotype whose networks stand for those that a sweep will find."""
SCHEDULE = (
    "epochs", "batch_size", "learning_rate", "learning_rate_min", "lr_warmup_epochs", "momentum", "weight_decay",
    "grad_clip", "arch_learning_rate", "arch_betas", "arch_weight_decay", "arch_grad_clip", "arch_warmup_epochs",
)  # fmt: skip
"""Settings of a search that change neither the time nor the memory of a step with a given batch size."""
BYTES_PER_WEIGHT = 12
"""A weight, its gradient and SGD's momentum in float32."""
BYTES_PER_MAC = 0.25
"""A rough lower bound of what a training step keeps for each multiply-add of an image."""
FASTEST = 1e11
"""Multiply-adds per second that no device reaches: a step that takes too long even so is not tried."""


@dataclass(frozen=True)
class Cost:
    """Size of a network, with multiply-adds of one image."""

    parameters: int
    macs: int


def supernet_cost(space: Space, images: DataSet) -> Cost:
    """The cost of the supernet, as the paper draws it."""
    with torch.device("meta"):  # shapes only: no memory, no time
        network = Supernet(
            **space.supernet.model_dump(), num_classes=images.num_classes, in_channels=images.in_channels
        )
    return _count(network, images)


def network_cost(recipe: TrainConfig, genotype: AnyGenotype, images: DataSet) -> Cost:
    """The cost of a derived network without its auxiliary head."""
    with torch.device("meta"):
        network = EvaluationNetwork(genotype, **{**network_arguments(recipe, images), "auxiliary": False})
    return _count(network, images)


def _count(network: torch.nn.Module, images: DataSet) -> Cost:
    return Cost(count_parameters(network), count_macs(network, images.in_channels, images.image_size))


def choose_genotype(space: Space) -> tuple[str, AnyGenotype]:
    """`EXAMPLE` and its name, or a random genotype where the space could not find it."""
    sizes, published = space.supernet, PUBLISHED[EXAMPLE]
    cells = published.graphs()
    operations = {edge.operation for cell in cells for edge in cell.edges}
    alike = sizes.family == published.family and sizes.nodes == len(cells[0].nodes)
    if alike and sizes.edge_primitives is None and operations <= set(sizes.primitives):
        return EXAMPLE, published
    return "a random genotype", sizes.draw_genotype(0)


def affects_steps(key: str) -> bool:
    """Whether the time and memory of a step depend on this dotted key."""
    return key == "search.batch_size" or key.removeprefix("search.") not in SCHEDULE


def step_signature(space: Space) -> str:
    """Equal for spaces whose search steps take the same time and memory with equal batches."""
    search = space.search.model_dump(mode="json", exclude=set(SCHEDULE))
    return json.dumps([space.supernet.model_dump(mode="json"), search], sort_keys=True)


class NetworkMeasurements:
    """Measured steps of the supernets of a plan, by `step_signature`, and of the evaluation.

    Args:
        most_bytes: a step that is predicted to take more is not tried.
        limit: seconds for all measurements together, about.
        execution: precision and the like of the trials.
    """

    def __init__(
        self,
        space: Space,
        images: DataSet,
        device: torch.device,
        *,
        most_bytes: float,
        limit: float,
        execution: Execution = DEFAULTS,
    ) -> None:
        self.space, self.images, self.device = space, images, device
        self._arguments: dict[str, Any] = {"device": device, "seed": 0, "execution": execution}
        self.most_bytes, self.limit, self.begun = most_bytes, limit, time.monotonic()
        self.splits = split_dataset(images, space.data)
        self.genotype_name, self.genotype = choose_genotype(space)
        self.supernets: dict[str, Cost] = {}
        self.variants: dict[str, Space] = {}
        self.fits: dict[str, Fit] = {}
        self.evaluation = Fit(())
        self.skipped: list[str] = []
        """Networks that were not measured, with the reason."""

    @property
    def seconds(self) -> float:
        """How long it has been measuring."""
        return time.monotonic() - self.begun

    def measure(self, variants: Sequence[Space]) -> None:
        """Measure the networks of these spaces, as far as the time goes."""
        batches: dict[str, set[int]] = {}
        keys = [step_signature(variant) for variant in variants]
        for key, variant in zip(keys, variants, strict=True):
            self.variants.setdefault(key, variant)
            batches.setdefault(key, set()).add(variant.search.batch_size)
        self.supernets = {key: supernet_cost(one, self.images) for key, one in self._searched().items()}
        order = [key for key, _ in Counter(keys).most_common() if key in self.supernets]
        cost = network_cost(self.space.evaluation, self.genotype, self.images)
        if self._is_feasible(cost, "the evaluation"):
            build = partial(build_training, self.space, self.genotype, self.images, stage="evaluation")
            sizes = {self.space.evaluation.batch_size}
            self.evaluation = self._measure(partial(build, **self._arguments), sizes, cost, 1 + len(order))
        for place, key in enumerate(order):
            cost, name = self.supernets[key], f"the supernet with {self.describe(key)}"
            if not self._is_feasible(cost, name):
                continue
            if place and self.seconds >= self.limit:
                self.skipped.append(f"{name}: the time was spent")
                continue
            search = partial(build_search, self.variants[key], self.images, **self._arguments)
            self.fits[key] = self._measure(search, batches[key], cost, len(order) - place)

    def forecast(self, variant: Space) -> Forecast | None:
        """Predicted time and memory of a trial of that space; None where no network like it could be measured."""
        if self.evaluation.samples and not variant.search.trained_epochs:
            return forecast_trial(variant, NOTHING, self.evaluation, self.splits)
        measured = {key: fit for key, fit in self.fits.items() if fit.samples}
        if not self.evaluation.samples or not measured:
            return None
        key, note = step_signature(variant), ""
        fit = measured.get(key)
        if fit is None:
            size = self.supernets[key].macs
            near = min(measured, key=lambda other: abs(self.supernets[other].macs - size))
            fit = _scale(measured[near], size / max(1, self.supernets[near].macs))
            note = f", scaled from {self.describe(near)} by multiply-adds"
        found = forecast_trial(variant, fit, self.evaluation, self.splits)
        return replace(found, basis=found.basis + note)

    def _searched(self) -> dict[str, Space]:
        """The variants that train a supernet."""
        return {key: one for key, one in self.variants.items() if one.search.trained_epochs}

    def describe(self, key: str) -> str:
        """The settings that a supernet differs from the others in, such as `K=4`."""
        names = [name for name in self.space.tune if affects_steps(name) and name != "search.batch_size"]
        values = {name: lookup(self.variants[key], name) for name in names}
        return naming.format_settings(values) or "all trials"

    def _measure(
        self, build: Callable[[], Search | Training], sizes: set[int], cost: Cost, among: int
    ) -> Fit:
        gc.collect()  # frees the probe before this one
        probe, seconds = Probe(build, self.device), max(0.0, self.limit - self.seconds) / among
        return measure(probe, sizes, macs=cost.macs, seconds=seconds, most_bytes=self.most_bytes)

    def _is_feasible(self, cost: Cost, name: str) -> bool:
        """Whether two images could be trained on within the limits of memory and time."""
        least = BYTES_PER_WEIGHT * cost.parameters + BYTES_PER_MAC * cost.macs * 2
        if least > self.most_bytes:
            self.skipped.append(f"{name}: two images would take about {least / 1e9:.0f} GB")
        elif 3 * cost.macs * 2 / FASTEST > self.limit:
            self.skipped.append(f"{name}: a step would take longer than measuring may")
        else:
            return True
        return False


def _scale(fit: Fit, ratio: float) -> Fit:
    """All samples of a fit, with times and added memory multiplied."""
    names = ("weights", "alphas", "score", "added")
    return Fit(
        tuple(replace(one, **{name: ratio * getattr(one, name) for name in names}) for one in fit.samples)
    )
