"""What is asked of searches, trainings and trials, and what came of them: plain values that travel between processes, JSON
both ways, without PyTorch.

The driver of a sweep sends a `TrialTask`; the trial reports records (dicts with a `kind`, see sweeps/trials/trial.py) and ends
in an `Outcome`; a `TrialRecord` is what the study knows of it, one entry of `leaderboard --json`.

    Search(supernet, weights, alphas, **Execution(precision="bf16").arguments())
    hours(record)           # Spent(0.25, "GPU"); a share of a GPU counts as that share
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Protocol

from pcdarts_tune.errors import UserError

NAMES_OF_PRECISIONS = ("float32", "bf16", "tf32")
"""Those of core.precision.PRECISIONS, which a test compares: naming them here keeps PyTorch out of --help."""


@dataclass(frozen=True)
class Execution:
    """What is asked for; `Search.execution()` and `Training.execution()` say what came of it.

    Attributes:
        precision: of the forward passes, see core/precision.py; the one thing here that changes results.
        compile: whether torch.compile compiles the network. Off by default: compiling the supernet took over 7 minutes
            on 2 CPU cores, and whether it gains on a GPU has not been measured.
        graphs: "auto" replays steps as CUDA graphs where that can be; True insists; False never does.
    """

    precision: str = "float32"
    compile: bool = False
    graphs: bool | str = "auto"

    def arguments(self) -> dict[str, Any]:
        """As the core takes them, and as JSON; `Execution(**arguments)` gives them back."""
        return asdict(self)

    def identity(self) -> dict[str, str]:
        """What makes results differ from those of the defaults."""
        return {} if self.precision == "float32" else {"precision": self.precision}


DEFAULTS = Execution()
State = Literal["complete", "pruned", "failed", "running", "waiting"]
ENDED: tuple[State, ...] = ("complete", "pruned", "failed")
"""States of a trial that is over, however."""
STATES: tuple[State, ...] = (*ENDED, "running", "waiting")


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number, the seed of its search, and dotted key -> value."""

    number: int
    seed: int
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class TrialTask:
    """Everything a trial is told.

    Attributes:
        proposal: its number, seed and hyperparameters, which are laid over `space`.
        evaluation_seed: of every evaluation of the sweep: equal genotypes score equally, whichever trial found them.
        space: the sweep's space as JSON.
        folder: where it keeps its checkpoint and result. `evaluations`: where evaluated genotypes are kept.
        threads: CPU threads it may use. `gpus`: GPUs, 0.25 for a quarter of one, 0 for none.
        genotype: the one to evaluate, where the trial shall find none of its own (calibration/trial.py).
        plugins: records of those that the space names, see `plugins.declare`.
    """

    proposal: Proposal
    evaluation_seed: int
    space: str
    folder: str
    evaluations: str
    threads: int = 1
    gpus: float = 0.0
    execution: Execution = DEFAULTS
    genotype: dict[str, Any] | None = None
    plugins: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrialTask:
        told = json.loads(text)
        parts = {"proposal": Proposal(**told["proposal"]), "execution": Execution(**told["execution"])}
        return cls(**{**told, **parts})


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        objective: the score of the derived network that the space names, high where it is good: for most, an accuracy in
            [0, 1] on held-out images; None unless complete.
        standard_error: of the objective, by the number of images it was measured on; None in records of older versions.
        seed_std: standard deviation of the objective over the evaluation's seeds; None with one.
        held_out: what the evaluation measured on the held-out images, see `training.scoring.summarize`; empty in records of
            older versions.
        reason: why it failed or was pruned, in words a person can act on.
        params, macs: of the retraining network of this genotype (parameters; multiply-adds an image), without the
            auxiliary head.
        latency: milliseconds for one image (batch 1) through that network, on the trial's device; None unless it is an
            objective.
        constraints: by how much `params` and `macs` exceed the space's limits, as a share of each: 0.22 is 22 % too much.
        evaluation_from: the trial whose evaluation of the same genotype was taken over; None when it was its own.
        metrics: further numbers worth a column: last losses, accuracies, skip connections.
        repeats: of a trial that searches with several seeds, `seed`, `genotype_hash`, `objective`, `params`, `macs` and
            `evaluation_from` of each search; the outcome's objective is their mean, its genotype and all that describes it
            those of the best of them.
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
    standard_error: float | None = None
    seed_std: float | None = None
    held_out: dict[str, float] = field(default_factory=dict)
    repeats: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.state == "complete" and (self.objective is None or not math.isfinite(self.objective)):
            raise ValueError(f"a complete trial has a finite objective, not {self.objective}")
        if self.state != "complete" and not self.reason:
            raise ValueError(f"a {self.state} trial needs its reason")

    def to_dict(self) -> dict[str, Any]:
        return _without_unknown(asdict(self))


LATER = ("repeats", "standard_error", "seed_std", "held_out")
"""What trials of older versions, and those that search once or were not scored, do not say."""


def _without_unknown(values: dict[str, Any]) -> dict[str, Any]:
    """A record says nothing of what it does not know among `LATER`."""
    return {key: value for key, value in values.items() if key not in LATER or value not in (None, [], {})}


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
    objective: float | None = None
    genotype: dict[str, Any] | None = None
    genotype_hash: str | None = None
    params: int | None = None
    macs: int | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    reason: str | None = None
    seed: int = 0
    evaluation_from: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    latency: float | None = None
    constraints: dict[str, float] = field(default_factory=dict)
    objectives: dict[str, float] | None = None
    pareto: bool | None = None
    rungs: dict[str, float] = field(default_factory=dict)
    standard_error: float | None = None
    seed_std: float | None = None
    held_out: dict[str, float] = field(default_factory=dict)
    repeats: list[dict[str, Any]] = field(default_factory=list)

    @property
    def searches(self) -> int:
        """How many searches it has ended with an evaluation or a reason; 1 where it has one in all."""
        return max(1, len(self.repeats))

    @property
    def scores(self) -> tuple[float, ...]:
        """What each of its searches scored: one number of a trial that searches once, none of one that is not complete."""
        if self.objective is None:
            return ()
        return tuple(each["objective"] for each in self.repeats) or (self.objective,)

    @property
    def proposal(self) -> Proposal:
        """What was to run."""
        return Proposal(self.trial, self.seed, self.hyperparameters)

    @property
    def outcome(self) -> Outcome:
        """How the trial ended, of one that has ended."""
        return Outcome(**{each.name: getattr(self, each.name) for each in fields(Outcome)})

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys first, in its order; more follow."""
        return _without_unknown(asdict(self))


def ranked(records: list[TrialRecord]) -> list[TrialRecord]:
    """Best first: complete trials by accuracy (ties: fewer parameters, lower number), those on the Pareto front before
    the others, then the rest by state."""

    def place(record: TrialRecord) -> tuple[int, bool, float, float, int]:
        objective = -math.inf if record.objective is None else record.objective
        params = math.inf if record.params is None else record.params
        return (STATES.index(record.state), record.pareto is False, -objective, params, record.trial)

    return sorted(records, key=place)


CPUS, GPUS = "cost/cpus", "cost/gpus"
"""Keys of an outcome's metrics: the share of its machine that the trial had."""


@dataclass(frozen=True)
class Spent:
    """Hours of a unit, GPU or CPU."""

    hours: float
    unit: str


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


Report = Callable[[dict[str, Any]], str | None]
"""Takes a record; why the trial ends at the rung that the record names, None to go on."""


class TrialFunction(Protocol):
    """A trial: what it is told, the data set the driver loaded (or None), where to report; how it ended."""

    def __call__(self, task: TrialTask, data: Any, report: Report) -> Outcome: ...


@dataclass(frozen=True)
class Workers:
    """Who trains: processes of Ray Train, which share every batch, or this process alone.

    Attributes:
        count: processes; None for one, and where there is no `address` either, for this process.
        groups: parts of a batch with BatchNorm statistics of their own (core/steps/groups.py); None for one each
            process. Nothing else here changes what is computed, but for the order of sums.
        address: of a Ray cluster; None for this machine.
        device: `cpu`, `cuda` (a GPU for each process), or `auto` for GPUs where there are some.
        max_failures: how often the processes are started again after one was lost.
        threads: CPU threads of each process; None for its share of the cores, in this process for PyTorch's own number.
    """

    count: int | None = None
    groups: int | None = None
    address: str | None = None
    device: str = "auto"
    max_failures: int = 3
    threads: int | None = None

    @property
    def distributed(self) -> bool:
        """Whether Ray Train's processes train, and not this one."""
        return self.count is not None or self.address is not None

    @property
    def processes(self) -> int:
        """How many train."""
        return self.count or 1

    @property
    def parts(self) -> int:
        """Into how many a batch is divided."""
        return self.groups or self.processes

    def check(self, batch_size: int) -> None:
        """Refuse batches that cannot be divided so.

        Raises:
            UserError: naming sizes that can.
        """
        parts, workers = self.parts, self.processes
        if parts % workers:
            near = max(1, round(parts / workers)) * workers
            wrong = f"--groups {parts} cannot be divided among {workers} workers"
            raise UserError(wrong, hint=f"--groups {near}")
        if parts > 1 and (batch_size % parts or batch_size < 2 * parts):
            near = max(2, round(batch_size / parts)) * parts
            raise UserError(
                f"retrain.batch_size {batch_size} cannot be divided into {parts} equal parts of two images and more",
                hint=f"--set retrain.batch_size={near}, or another number of workers",
            )
