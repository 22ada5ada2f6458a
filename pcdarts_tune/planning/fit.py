"""What batches of a few sizes took, and what that says of the sizes between and beyond.

fit = Fit((Sample(4, ...), Sample(8, ...)))
fit.at(128).bytes, fit.basis(128)           # "from batch 4 and 8"
"""

from __future__ import annotations

from dataclasses import dataclass


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
