"""The measuring of a plan: every network that its trials differ in, the commonest first, within a limit of time.

survey = Survey(space, images, device, most_bytes=…, limit=30.0)
survey.take(variants)
survey.forecast(variant)        # Forecast, or None where nothing could be measured
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pcdarts_tune.planning import networks
from pcdarts_tune.planning.forecast import Fit, Forecast, forecast
from pcdarts_tune.planning.measuring import Clock, EvaluationProbe, Probe, SearchProbe, measure
from pcdarts_tune.tasks import DEFAULTS, Execution

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space

BYTES_OF_A_WEIGHT = 12
"""Its value, its gradient and SGD's momentum, in float32."""
BYTES_OF_A_MAC = 0.25
"""What a training step keeps for each multiply-add of an image, roughly: enough to see that a step would be too large."""
FASTEST = 1e11
"""Multiply-adds a second of a device too fast to be true: what takes too long even so is not tried."""


class Survey:
    """What was measured of the networks of a plan.

    Args:
        space: the sweep's; `images`: its data set.
        most_bytes: what no step may be predicted to take.
        limit: seconds for all measuring together, about.
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
        from pcdarts_tune.datasets import split_dataset

        self.space, self.images, self.device, self.most_bytes = space, images, device, most_bytes
        self.execution = execution
        self.splits = split_dataset(images, space.data)
        self.largest = min(len(self.splits.weights), len(self.splits.alphas))
        self.clock = Clock(limit)
        self.genotype_name, self.genotype = networks.representative(space)
        self.supernets: dict[str, networks.Cost] = {}
        self.variants: dict[str, Space] = {}
        self.fits: dict[str, Fit] = {}
        self.evaluation: Fit | None = None
        self.untried: list[str] = []
        """What was left out, and why."""

    def take(self, variants: Sequence[Space]) -> None:
        """Measure the networks of these spaces, as far as the time goes."""
        batches: dict[str, set[int]] = {}
        counted = Counter(networks.signature(variant) for variant in variants)
        for variant in variants:
            key = networks.signature(variant)
            self.variants.setdefault(key, variant)
            batches.setdefault(key, set()).add(variant.search.batch_size)
        for key, variant in self.variants.items():
            self.supernets[key] = networks.supernet_cost(variant, self.images)
        order = [key for key, _ in counted.most_common()]
        cost = networks.network_cost(self.space.evaluation, self.genotype, self.images)
        if self._can_be_tried(cost, "the evaluation"):
            probe = EvaluationProbe(self.space, self.genotype, self.images, self.device, self.execution)
            self.evaluation = self._measure(
                probe, {self.space.evaluation.batch_size}, cost.macs, 1 + len(order)
            )
            del probe
        for place, key in enumerate(order):
            if not self._can_be_tried(self.supernets[key], f"the supernet with {self.named(key)}"):
                continue
            if place and not self.clock.share(1):
                self.untried.append(f"the supernet with {self.named(key)}: the time was spent")
                continue
            searching = SearchProbe(self.variants[key], self.images, self.device, self.execution)
            self.fits[key] = self._measure(
                searching, batches[key], self.supernets[key].macs, len(order) - place
            )
            del searching

    def forecast(self, variant: Space) -> Forecast | None:
        """What a trial of that space is expected to take; None where no network like it could be measured."""
        key = networks.signature(variant)
        if (
            self.evaluation is None
            or not self.evaluation.samples
            or not any(fit.samples for fit in self.fits.values())
        ):
            return None
        fit, note = self.fits.get(key), ""
        if fit is None or not fit.samples:
            fit, note = self._scaled(key)
        found = forecast(variant, fit, self.evaluation, self.splits, largest=self.largest)
        return replace(found, basis=found.basis + note)

    def named(self, key: str) -> str:
        """What tells a network from the others, such as `K=4`."""
        from pcdarts_tune.planning.networks import decides_size
        from pcdarts_tune.spaces import naming
        from pcdarts_tune.spaces.keys import lookup

        keys = [name for name in self.space.tune if decides_size(name) and name != "search.batch_size"]
        return naming.settings({name: lookup(self.variants[key], name) for name in keys}) or "all trials"

    def _measure(self, probe: Probe, batches: set[int], macs: int, among: int) -> Fit:
        seconds = self.clock.share(among)
        fit = measure(probe, batches, macs=macs, seconds=seconds, most_bytes=self.most_bytes)
        gc.collect()
        return fit

    def _can_be_tried(self, cost: networks.Cost, what: str) -> bool:
        least = BYTES_OF_A_WEIGHT * cost.parameters + BYTES_OF_A_MAC * cost.macs * 2
        if least > self.most_bytes:
            self.untried.append(f"{what}: two images would take about {least / 1e9:.0f} GB")
            return False
        if 3 * cost.macs * 2 / FASTEST > self.clock.limit:
            self.untried.append(f"{what}: a step would take longer than measuring may")
            return False
        return True

    def _scaled(self, key: str) -> tuple[Fit, str]:
        """The samples of the network nearest in multiply-adds, by the ratio of these."""
        size = self.supernets[key].macs
        tried = [other for other, fit in self.fits.items() if fit.samples]
        near = min(tried, key=lambda other: abs(self.supernets[other].macs - size))
        ratio = size / max(1, self.supernets[near].macs)
        samples = tuple(
            replace(
                one,
                weights=one.weights * ratio,
                alphas=one.alphas * ratio,
                score=one.score * ratio,
                added=one.added * ratio,
            )
            for one in self.fits[near].samples
        )
        return Fit(samples), f", scaled from {self.named(near)} by multiply-adds"
