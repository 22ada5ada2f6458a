"""Whether a reproduction came out like its original: number by number, epoch by epoch.

str(compare(original, again))       # "equal bit for bit: 54 numbers of 8 epochs, the genotype"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.lineage.original import Original
from pcdarts_tune.tracking.tags import Tag

Series = Mapping[str, Mapping[int, float]]
"""Metric -> epoch -> value."""


@dataclass(frozen=True)
class Rerun:
    """What the reproduction gave; `accuracy` is the one on held-out images at the end."""

    run_id: str
    series: Series
    genotype: dict[str, Any] | None = None
    accuracy: float | None = None
    weights: str | None = None
    state: str = "complete"


@dataclass(frozen=True)
class Agreement:
    """How the two compare.

    Attributes:
        numbers, epochs: how many were compared.
        first: metric, epoch and both values where they first differ.
        largest: metric and largest difference, relative to the original's size (absolute below 1).
        missing: metrics or epochs that only one of them has.
        genotype, weights: whether they are equal, None where one of them is not known.
        accuracy: both accuracies.
    """

    numbers: int
    epochs: int
    first: tuple[str, int, float, float] | None
    largest: tuple[str, float] | None
    missing: tuple[str, ...]
    genotype: bool | None
    weights: bool | None
    accuracy: tuple[float | None, float | None]
    ended: tuple[str, str]

    @property
    def equal(self) -> bool:
        """Bit for bit, in all that was compared; nothing compared is not equal."""
        pairs_equal = self.accuracy[0] == self.accuracy[1] and self.ended[0] == self.ended[1]
        differs = self.first is not None or self.missing or False in (self.genotype, self.weights)
        return self.numbers > 0 and pairs_equal and not differs

    def __str__(self) -> str:
        compared = f"{self.numbers} numbers of {self.epochs} epochs"
        if self.equal:
            also = {"the genotype": self.genotype, "the weights": self.weights}
            return f"equal bit for bit: {', '.join([compared, *(name for name in also if also[name])])}"
        parts = [f"differs ({compared} compared)"]
        if self.ended[0] != self.ended[1]:
            parts.append(f"it ended as {self.ended[1]}, the original as {self.ended[0]}")
        if self.first is not None:
            metric, epoch, before, now = self.first
            parts.append(f"first at epoch {epoch + 1} in {metric}: {now!r}, was {before!r}")
        if self.largest is not None:
            parts.append(f"most in {self.largest[0]}, by {self.largest[1]:.2g}")
        if None not in self.accuracy:
            parts.append("held-out accuracy {1:.4f}, was {0:.4f}".format(*self.accuracy))
        if self.genotype is not None:
            parts.append("the same genotype" if self.genotype else "another genotype")
        if self.missing:
            parts.append(f"only one of them has {', '.join(self.missing[:3])}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        first = self.first and dict(zip(("metric", "epoch", "before", "now"), self.first, strict=True))
        largest = self.largest and dict(zip(("metric", "relative"), self.largest, strict=True))
        return {
            "equal": self.equal,
            "verdict": str(self),
            "numbers": self.numbers,
            "epochs": self.epochs,
            "first_difference": first,
            "largest_difference": largest,
            "genotype_equal": self.genotype,
            "weights_equal": self.weights,
            "held_out": list(self.accuracy),
            "missing": list(self.missing),
        }


def compare(original: Original, again: Rerun) -> Agreement:
    """Compare what was recorded with what came out."""
    before, now = _computed(original.series), _computed(again.series)
    if not any(key.startswith("evaluation/") for key in before):  # another trial's: the accuracy says it
        now = {key: values for key, values in now.items() if not key.startswith("evaluation/")}
    # the search first, then the evaluation, epoch by epoch
    was = sorted(
        (metric.startswith("evaluation/"), epoch, metric, value)
        for metric, values in before.items()
        for epoch, value in values.items()
    )
    pairs = [(*entry, now[entry[2]][entry[1]]) for entry in was if entry[1] in now.get(entry[2], {})]
    points = [{(metric, at) for metric in series for at in series[metric]} for series in (before, now)]
    different = [(metric, at, value, other) for _, at, metric, value, other in pairs if value != other]
    relative = [(metric, abs(b - a) / max(1.0, abs(a))) for metric, _, a, b in different]
    record, trained = original.record, original.record.tags.get(Tag.WEIGHTS)
    cells = None if again.genotype is None else Genotype.from_dict(again.genotype)
    return Agreement(
        len(pairs),
        len({pair[:2] for pair in pairs}),
        different[0] if different else None,
        max(relative, key=lambda pair: pair[1]) if relative else None,
        tuple(sorted({metric for metric, _ in points[0] ^ points[1]})),
        None if record.genotype is None or cells is None else cells == record.genotype,
        None if trained is None or again.weights is None else trained == again.weights,
        (record.accuracy, again.accuracy),
        (record.tags.get(Tag.OUTCOME, "complete"), again.state),
    )


def _computed(series: Series) -> dict[str, Mapping[int, float]]:
    """The numbers that a computation decides, and not the machine or what was done afterwards."""
    other = ("system/", "trials/", "test/", "cost/")
    machine = ("seconds", "images_per_second", "peak_memory_bytes", "_hours", "latency_ms")
    decided = {
        key for key in series if "/" in key and not key.startswith(other) and not key.endswith(machine)
    }
    return {key: values for key, values in series.items() if key in decided}
