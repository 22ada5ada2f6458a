"""What goes between the driver and a trial, and what is known of a trial afterwards: plain values, JSON both ways.

The driver sends a `TrialTask`; the trial reports records (dicts with a `kind`, see trainable.py) and ends in
an `Outcome`; `TrialRecord` is what the study knows of it: one entry of `leaderboard --json`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["complete", "pruned", "failed", "running", "waiting"]
STATES: tuple[State, ...] = ("complete", "pruned", "failed", "running", "waiting")


@dataclass(frozen=True)
class TrialTask:
    """Everything a trial is told.

    Attributes:
        number: the trial's number in its sweep, from 0.
        seed: of its search; drawn from the sweep's seed and the number.
        evaluation_seed: of every evaluation of the sweep: equal genotypes score equally, whichever trial found them.
        hyperparameters: dotted key -> value, laid over `space`.
        space: the sweep's space as JSON.
        folder: where it keeps its checkpoint and result. `evaluations`: where evaluated genotypes are kept.
        threads: CPU threads it may use. `gpus`: GPUs, 0.25 for a quarter of one, 0 for none.
    """

    number: int
    seed: int
    evaluation_seed: int
    hyperparameters: dict[str, Any]
    space: str
    folder: str
    evaluations: str
    threads: int = 1
    gpus: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrialTask:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        objective: accuracy in [0, 1] of the derived network on held-out images; None unless complete.
        reason: why it failed or was pruned, in words a person can act on.
        params, macs: of the retraining network of this genotype (parameters; multiply-adds an image), without the
            auxiliary head.
        evaluation_from: the trial whose evaluation of the same genotype was taken over; None when it was its own.
        metrics: further numbers worth a column: last losses, accuracies, skip connections.
    """

    state: Literal["complete", "pruned", "failed"]
    objective: float | None = None
    reason: str | None = None
    genotype: dict[str, Any] | None = None
    genotype_hash: str | None = None
    params: int | None = None
    macs: int | None = None
    evaluation_from: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.state == "complete" and (self.objective is None or not math.isfinite(self.objective)):
            raise ValueError(f"a complete trial has a finite objective, not {self.objective}")
        if self.state != "complete" and not self.reason:
            raise ValueError(f"a {self.state} trial needs its reason")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> Outcome:
        return cls(**mapping)


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the leaderboard shows it."""

    trial: int
    state: State
    objective: float | None
    genotype: dict[str, Any] | None
    genotype_hash: str | None
    params: int | None
    macs: int | None
    hyperparameters: dict[str, Any]
    run_id: str | None
    reason: str | None
    seed: int
    evaluation_from: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys first, in its order; more follow."""
        return asdict(self)


def ranked(records: list[TrialRecord]) -> list[TrialRecord]:
    """Best first: complete trials by objective (ties: fewer parameters, lower number), then the rest by state."""

    def place(record: TrialRecord) -> tuple[int, float, float, int]:
        objective = -math.inf if record.objective is None else record.objective
        params = math.inf if record.params is None else record.params
        return (STATES.index(record.state), -objective, params, record.trial)

    return sorted(records, key=place)
