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
        execution: the arguments of an `Execution`.
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
    execution: dict[str, Any] = field(default_factory=dict)

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
        latency: milliseconds for one image (batch 1) through that network, on the trial's device; None unless it is an
            objective.
        constraints: by how much `params` and `macs` exceed the space's limits, as a share of each: 0.22 is 22 % too much.
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
    latency: float | None = None
    constraints: dict[str, float] = field(default_factory=dict)

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
    """One trial as the leaderboard shows it; see Outcome.

    Attributes:
        objectives: what the sweep aims at, by name; None unless complete.
        pareto: whether no other trial is at least as good in every objective and better in one; None with one objective.
        rungs: accuracy after so many epochs of the evaluation, where it was compared with others.
    """

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
    latency: float | None = None
    constraints: dict[str, float] = field(default_factory=dict)
    objectives: dict[str, float] | None = None
    pareto: bool | None = None
    rungs: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys first, in its order; more follow."""
        return asdict(self)


def ranked(records: list[TrialRecord]) -> list[TrialRecord]:
    """Best first: complete trials by accuracy (ties: fewer parameters, lower number), those on the Pareto front before
    the others, then the rest by state."""

    def place(record: TrialRecord) -> tuple[int, bool, float, float, int]:
        objective = -math.inf if record.objective is None else record.objective
        params = math.inf if record.params is None else record.params
        return (STATES.index(record.state), record.pareto is False, -objective, params, record.trial)

    return sorted(records, key=place)
