"""What a sweep aims at: an outcome's values, the Pareto front, limits on a genotype's size, and who goes on at a rung.

    objective_values(("accuracy", "macs"), outcome)     # {"accuracy": 0.97, "macs": 312e6}

Rungs are those of asynchronous successive halving (ASHA, Li et al., arXiv 1810.05934): a trial that reaches one is compared
with all that were there before it, and goes on when it is among the best share of them. For several objectives trials are
sorted by Pareto front first (as MO-ASHA, arXiv 2106.12639), then by accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pcdarts_tune.spaces.scores import score_title
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import Outcome, TrialRecord

Direction = Literal["minimize", "maximize"]
DIRECTIONS: dict[str, Direction] = {
    "accuracy": "maximize",
    "params": "minimize",
    "macs": "minimize",
    "latency": "minimize",
}
UNITS = {"params": "parameters", "macs": "multiply-adds an image"}


def objective_values(objectives: Sequence[str], of: Outcome | TrialRecord) -> dict[str, float]:
    """The value of each objective, in their order; those that are not known are left out."""
    known = {"accuracy": of.objective, "params": of.params, "macs": of.macs, "latency": of.latency}
    return {name: value for name in objectives if (value := known[name]) is not None}


def minimised(objectives: Sequence[str], of: dict[str, float]) -> tuple[float, ...]:
    """The values with their signs turned so that low is good."""
    return tuple(-of[name] if DIRECTIONS[name] == "maximize" else of[name] for name in objectives)


def fronts(points: Sequence[tuple[float, ...]]) -> list[int]:
    """The number of each point's front by non-dominated sorting, low values good: 0 for the Pareto front."""
    import numpy as np

    table = np.array(points, dtype=float)
    rank = np.full(len(points), -1)
    left, number = np.arange(len(points)), 0
    while len(left):
        here = table[left]
        best = np.array(
            [not np.any(np.all(here <= point, axis=1) & np.any(here < point, axis=1)) for point in here]
        )
        rank[left[best]] = number
        left, number = left[~best], number + 1
    return [int(value) for value in rank]


def with_front(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """The records with their objectives, and for several whether a complete trial is on the Pareto front."""
    records, whole = list(records), []
    for at, record in enumerate(records):
        if record.state == "complete":
            values = objective_values(objectives, record)
            records[at] = replace(record, objectives=values)
            if len(values) == len(objectives):
                whole.append(at)
    if len(objectives) > 1 and whole:
        points = [minimised(objectives, records[at].objectives or {}) for at in whole]
        for at, front in zip(whole, fronts(points), strict=True):
            records[at] = replace(records[at], pareto=front == 0)
    return records


def excess(space: Space, *, params: int, macs: int) -> dict[str, float]:
    """By how much a genotype is above each limit of the space, as a share of it: 0.22 is 22 % too large, -0.1 is 10 % to
    spare. Empty where the space has no limits."""
    return {name: size / limit - 1 for name, size, limit in _limited(space, params, macs)}


def excess_reason(space: Space, *, params: int, macs: int) -> str | None:
    """Why a genotype is too large, in words; None where it is not."""
    texts = [
        f"{size:,} {UNITS[name]} in the retraining network, {size - limit:,} ({size / limit - 1:.0%}) over "
        f"constraints.max_{name}"
        for name, size, limit in _limited(space, params, macs)
        if size > limit
    ]
    return "; ".join(texts) or None


def _limited(space: Space, params: int, macs: int) -> list[tuple[str, int, int]]:
    """Name, size and limit of what the space limits."""
    limits = space.constraints
    sizes = (("params", params, limits.max_params), ("macs", macs, limits.max_macs))
    return [(name, size, limit) for name, size, limit in sizes if limit is not None]


@dataclass(frozen=True)
class Rung:
    """Where trials are compared: after `epochs` of `of` epochs of their evaluation, the best `keep` (a share) go on; nobody
    ends there before `min_trials` have reached it. `score` is what `accuracy` stands for among the values."""

    epochs: int
    of: int
    keep: float
    min_trials: int
    score: str = "accuracy"

    @classmethod
    def after(cls, space: Space, epochs: int) -> Rung:
        """The rung after so many epochs of a trial's evaluation, as the space has it."""
        halving = space.stopping.halving
        return cls(epochs, space.evaluation.epochs, halving.keep, halving.min_trials, space.objective)


def reason_to_stop(
    objectives: Sequence[str], values: dict[str, float], others: Sequence[dict[str, float]], rung: Rung
) -> str | None:
    """Why a trial with these values ends at the rung; None when it goes on.

    Args:
        others: values of the trials that were there before it.
    """
    there = [*others, values]
    if len(there) < rung.min_trials:
        return None
    points = [minimised(objectives, each) for each in there]
    front = fronts(points) if len(objectives) > 1 else [0] * len(points)
    places = [(number, -each["accuracy"]) for number, each in zip(front, there, strict=True)]
    better = sum(place < places[-1] for place in places)
    # the best one always goes on, and so does who is no worse than one that does
    if better < max(1, int(rung.keep * len(there))):
        return None
    return (
        f"{score_title(rung.score)} {values['accuracy']:.4f} after {rung.epochs} of {rung.of} epochs of the evaluation: "
        f"place {better + 1} of {len(there)}{' by Pareto front' if len(objectives) > 1 else ''}, "
        f"the best {rung.keep:.0%} go on"
    )


def rungs_in(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rungs that a trial's record says it has reached, oldest first: `{"epochs", "values"}` each."""
    entries = record["records"] if record["kind"] == "history" else [record]
    return [entry["rung"] for entry in entries if "rung" in entry]
