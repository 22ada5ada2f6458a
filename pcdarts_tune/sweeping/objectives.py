"""What a sweep aims at: an outcome's values, who is on the Pareto front, and by how much a genotype is too large.

objective_values(("accuracy", "macs"), outcome)     # {"accuracy": 0.97, "macs": 312e6}
fronts([(-0.97, 312e6), (-0.95, 400e6)])            # [0, 1]: the second is worse in both
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.sweeping.outcome import Outcome, TrialRecord

Direction = Literal["minimize", "maximize"]
DIRECTIONS: dict[str, Direction] = {
    "accuracy": "maximize",
    "params": "minimize",
    "macs": "minimize",
    "latency": "minimize",
}
UNITS = {"params": "parameters", "macs": "multiply-adds an image"}


def directions(objectives: Sequence[str]) -> list[Direction]:
    """As Optuna wants them."""
    return [DIRECTIONS[name] for name in objectives]


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
    records = [
        replace(record, objectives=objective_values(objectives, record))
        if record.state == "complete"
        else record
        for record in records
    ]
    whole = [
        at
        for at, record in enumerate(records)
        if record.objectives and len(record.objectives) == len(objectives)
    ]
    if len(objectives) > 1 and whole:
        points = [minimised(objectives, records[at].objectives or {}) for at in whole]
        for at, front in zip(whole, fronts(points), strict=True):
            records[at] = replace(records[at], pareto=front == 0)
    return records


def excess(space: Space, *, params: int, macs: int) -> dict[str, float]:
    """By how much a genotype is above each limit of the space, as a share of it: 0.22 is 22 % too large, -0.1 is 10 % to
    spare. Empty where the space has no limits."""
    limits = {"params": space.constraints.max_params, "macs": space.constraints.max_macs}
    sizes = {"params": params, "macs": macs}
    return {name: sizes[name] / limit - 1 for name, limit in limits.items() if limit is not None}


def excess_reason(space: Space, *, params: int, macs: int) -> str | None:
    """Why a genotype is too large, in words; None where it is not."""
    limits = {"params": space.constraints.max_params, "macs": space.constraints.max_macs}
    sizes = {"params": params, "macs": macs}
    texts = []
    for name, over in excess(space, params=params, macs=macs).items():
        limit = limits[name]
        if over > 0 and limit is not None:
            texts.append(
                f"{sizes[name]:,} {UNITS[name]} in the retraining network, {sizes[name] - limit:,} ({over:.0%}) "
                f"over constraints.max_{name}"
            )
    return "; ".join(texts) or None
