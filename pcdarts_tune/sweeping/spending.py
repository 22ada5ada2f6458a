"""What a trial spent of the machines: GPU-hours where it had a GPU, else CPU-hours; a share of a GPU counts as that share.

>>> hours(record)           # Spent(0.25, "GPU")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdarts_tune.sweeping.outcome import Outcome, TrialRecord, TrialTask

CPUS, GPUS = "cost/cpus", "cost/gpus"
"""Keys of an outcome's metrics: the share of its machine that the trial had."""


@dataclass(frozen=True)
class Spent:
    """Hours of a unit, GPU or CPU."""

    hours: float
    unit: str


def with_share(outcome: Outcome, task: TrialTask) -> Outcome:
    """The outcome with the share of its machine that the trial had."""
    return replace(outcome, metrics={**outcome.metrics, CPUS: float(task.threads), GPUS: float(task.gpus)})


def hours(of: Outcome | TrialRecord) -> Spent | None:
    """What a trial spent, over all its starts; None where it is not known."""
    share = of.metrics.get(GPUS, 0.0) or of.metrics.get(CPUS)
    if of.seconds is None or share is None:
        return None
    return Spent(of.seconds * share / 3600, "GPU" if of.metrics.get(GPUS) else "CPU")


def total(records: Iterable[TrialRecord]) -> dict[str, float]:
    """Hours by unit, of the trials that say."""
    sums: dict[str, float] = {}
    for record in records:
        if (spent := hours(record)) is not None:
            sums[spent.unit] = sums.get(spent.unit, 0.0) + spent.hours
    return sums
