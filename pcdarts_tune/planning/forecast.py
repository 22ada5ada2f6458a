"""From samples of single steps to the seconds and bytes of a trial, and from trials to the hours of a sweep.

trial = forecast_trial(space, Fit((Sample(4, ...), Sample(8, ...))), evaluation_fit, splits)
hours = max(end_times([trial.search_seconds] * 32, places=4)) / 3600
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from pcdarts_tune.datasets import Splits, training_rows
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import BENCHMARK


@dataclass(frozen=True)
class Sample:
    """Seconds and bytes of the steps on one batch.

    Attributes:
        weights: seconds of a step of the weights.
        alphas: seconds of the architecture step before it; 0 in a training.
        score: seconds of a forward pass in evaluation mode.
        resident: bytes of the tensors that are there before a step: network, optimizers, images.
        added: bytes that a step adds to them at its peak.
    """

    batch: int
    weights: float
    alphas: float
    score: float
    resident: float
    added: float

    @property
    def bytes(self) -> float:
        """Peak memory of the tensors."""
        return self.resident + self.added


@dataclass(frozen=True)
class Fit:
    """Lines through samples, smallest batch first, from which a batch of any size is predicted; `too_large` is a batch size
    that ran out of memory."""

    samples: tuple[Sample, ...]
    too_large: int | None = None

    def at(self, batch: int) -> Sample:
        """The sample of a batch of that size: the measured one, or by a line through two of them."""
        if exact := next((sample for sample in self.samples if sample.batch == batch), None):
            return exact
        low, high = self._neighbours(batch)

        def predict(name: str) -> float:
            last = getattr(high, name)
            slope = (last - getattr(low, name)) / (high.batch - low.batch)
            return float(max(0.0, last + max(0.0, slope) * (batch - high.batch)))  # flat where more took less

        return Sample(batch, *map(predict, ("weights", "alphas", "score", "resident", "added")))

    def exceeds_memory(self, batch: int) -> bool:
        """Whether a batch of that size, or a smaller one, ran out of memory."""
        return self.too_large is not None and batch >= self.too_large

    def basis(self, batch: int) -> str:
        """What `at` predicts that batch size from."""
        if any(sample.batch == batch for sample in self.samples):
            return "measured"
        return f"from batch {' and '.join(str(one.batch) for one in self._neighbours(batch) if one.batch)}"

    def _neighbours(self, batch: int) -> tuple[Sample, Sample]:
        """The samples around that size, or the two nearest below or above."""
        if len(self.samples) == 1:
            only = self.samples[0]
            return Sample(0, 0.0, 0.0, 0.0, only.resident, 0.0), only
        place = next((at for at, one in enumerate(self.samples) if one.batch > batch), len(self.samples))
        place = min(max(place, 1), len(self.samples) - 1)
        return self.samples[place - 1], self.samples[place]


NOTHING = Fit((Sample(1, 0.0, 0.0, 0.0, 0.0, 0.0),))
"""Of a method that trains no supernet."""


@dataclass(frozen=True)
class Forecast:
    """Predicted seconds and bytes of a trial; `basis` is what those of the search are predicted from, `out_of_memory` whether
    a batch of its size, or a smaller one, was tried and ran out of memory."""

    search_seconds: float
    evaluation_seconds: float
    search_bytes: float
    evaluation_bytes: float
    basis: str
    out_of_memory: bool = False

    @property
    def bytes(self) -> float:
        """The larger of both: the search has ended when the evaluation begins."""
        return max(self.search_bytes, self.evaluation_bytes)

    def fits(self, memory: float) -> bool:
        """Whether a trial with so many bytes can run."""
        return self.bytes <= memory and not self.out_of_memory


def forecast_trial(space: Space, search: Fit, evaluation: Fit, splits: Splits) -> Forecast:
    """Multiply the sampled steps of a trial by the number of them; `space` has the trial's own values."""
    weights, held_out = len(splits.weights), len(splits.held_out)
    config, recipe = space.search, space.evaluation
    training = recipe.epoch_images or len(training_rows(space, splits, "evaluation"))
    batch = min(config.batch_size, weights, len(splits.alphas))
    step, epochs = search.at(batch), space.search_epochs
    arch_epochs = max(0, epochs - config.arch_warmup_epochs)
    steps = weights / batch
    search_seconds = epochs * (steps * step.weights + held_out / batch * step.score)
    search_seconds += arch_epochs * steps * step.alphas
    size = min(recipe.batch_size, training)
    short = evaluation.at(size)
    trained = 0 if space.objective == BENCHMARK else recipe.all_epochs
    evaluation_seconds = trained * (training * short.weights + held_out * short.score) / size
    out_of_memory = search.exceeds_memory(batch) or evaluation.exceeds_memory(size)
    basis = search.basis(batch) if epochs else "no search"
    return Forecast(search_seconds, evaluation_seconds, step.bytes, short.bytes, basis, out_of_memory)


def expected_share(epochs: int, rungs: Sequence[int], keep: float) -> float:
    """The mean share of an evaluation's epochs that is run where the best `keep` of the trials pass each rung."""
    run, left, before = 0.0, 1.0, 0
    for end in (*rungs, epochs):
        run += left * (end - before)
        left, before = left * keep, end
    return run / epochs


def end_times(seconds: Sequence[float], places: int) -> list[float]:
    """When each of the trials ends if `places` run at a time, each begun in turn as soon as a place is free."""
    free = [0.0] * max(1, min(places, len(seconds)))
    ends = []
    for length in seconds:
        ends.append(free[0] + length)
        heapq.heapreplace(free, ends[-1])
    return ends
