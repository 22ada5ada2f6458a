"""What batches of a few sizes took, and what that says of the sizes between and beyond.

fit = Fit((Sample(4, ...), Sample(8, ...)))
fit.at(128).bytes, fit.basis(128)           # "from batch 4 and 8"

From samples of a step to a trial, and from trials to a sweep: seconds, bytes, hours.

trial = forecast(space, search_fit, evaluation_fit, splits)     # Forecast(search_seconds=…, bytes=…, …)
hours = makespan([trial.seconds, ...], places=4) / 3600
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdarts_tune.datasets import Splits
    from pcdarts_tune.spaces.space import Space


@dataclass(frozen=True)
class Sample:
    """What one batch took.

    Attributes:
        weights: seconds of a step of the weights.
        alphas: of the architecture step before it; 0 in a training.
        score: of a batch in evaluation mode.
        resident: bytes of the tensors that are there before a step: network, optimisers, images.
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
        """The largest sum of the tensors that live at a time."""
        return self.resident + self.added


@dataclass(frozen=True)
class Fit:
    """Samples, smallest batch first, and lines through two of them; `too_large` is a batch that ran out of memory."""

    samples: tuple[Sample, ...]
    too_large: int | None = None

    def at(self, batch: int) -> Sample:
        """What a batch of that size takes."""
        if exact := next((sample for sample in self.samples if sample.batch == batch), None):
            return exact
        before, last = self._pair(batch)

        def line(name: str) -> float:
            high, low = getattr(last, name), getattr(before, name)
            slope = max(0.0, (high - low) / (last.batch - before.batch))
            return float(max(0.0, high + slope * (batch - last.batch)))  # flat where more took less

        names = ("weights", "alphas", "score", "resident", "added")
        return Sample(batch, *(line(name) for name in names))

    def refuses(self, batch: int) -> bool:
        """Whether a batch of that size, or a smaller one, ran out of memory."""
        return self.too_large is not None and batch >= self.too_large

    def basis(self, batch: int) -> str:
        """How `at` knows."""
        if any(sample.batch == batch for sample in self.samples):
            return "measured"
        return f"from batch {' and '.join(str(one.batch) for one in self._pair(batch) if one.batch)}"

    def _pair(self, batch: int) -> tuple[Sample, Sample]:
        """The two samples that a line goes through: those around the batch, or the two nearest below or above."""
        if len(self.samples) == 1:
            only = self.samples[0]
            return Sample(0, 0.0, 0.0, 0.0, only.resident, 0.0), only
        place = next((at for at, one in enumerate(self.samples) if one.batch > batch), len(self.samples))
        place = min(max(place, 1), len(self.samples) - 1)
        return self.samples[place - 1], self.samples[place]


@dataclass(frozen=True)
class Forecast:
    """What a trial is expected to take; `basis` says how the search's part is known, `out_of_memory` that a batch of
    its size, or a smaller one, was tried and did not fit.
    """

    search_seconds: float
    evaluation_seconds: float
    search_bytes: float
    evaluation_bytes: float
    basis: str
    out_of_memory: bool = False

    @property
    def seconds(self) -> float:
        return self.search_seconds + self.evaluation_seconds

    @property
    def bytes(self) -> float:
        """The search is over before the evaluation begins."""
        return max(self.search_bytes, self.evaluation_bytes)


def forecast(space: Space, search: Fit, evaluation: Fit, splits: Splits, *, largest: int) -> Forecast:
    """A trial of `space`, whose values are all set.

    Args:
        search, evaluation: steps of its search and of its evaluation.
        largest: images of a half: no batch of the search is larger.
    """
    weights, held_out = len(splits.weights), len(splits.held_out)
    training = weights + len(splits.alphas)
    config, recipe = space.search, space.evaluation
    batch = min(config.batch_size, largest)
    step = search.at(batch)
    moving = max(0, config.epochs - config.arch_warmup_epochs)
    steps = weights / batch
    searching = config.epochs * (steps * step.weights + held_out / batch * step.score)
    searching += moving * steps * step.alphas
    size = min(recipe.batch_size, training)
    short = evaluation.at(size)
    evaluating = recipe.epochs * (training * short.weights + held_out * short.score) / size
    refused = search.refuses(batch) or evaluation.refuses(size)
    return Forecast(searching, evaluating, step.bytes, short.bytes, search.basis(batch), refused)


def expected_share(epochs: int, rungs: Sequence[int], keep: float) -> float:
    """Share of an evaluation's epochs that are run on average where the best `keep` of the trials pass each rung."""
    run, left, before = 0.0, 1.0, 0
    for end in (*rungs, epochs):
        run += left * (end - before)
        left, before = left * keep, end
    return run / epochs


def makespan(seconds: Sequence[float], places: int) -> float:
    """Seconds until all are done when so many run at a time, each begun in turn as soon as a place is free."""
    free = [0.0] * max(1, min(places, len(seconds)))
    for length in seconds:
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


def done_within(seconds: Sequence[float], places: int, budget: float) -> int:
    """How many of them are done after `budget` seconds."""
    free = [0.0] * max(1, min(places, len(seconds)))
    done = 0
    for length in seconds:
        end = heapq.heappop(free) + length
        done += end <= budget
        heapq.heappush(free, end)
    return done
