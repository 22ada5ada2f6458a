"""A sweep's runs as they lie in MLflow: the sweep's own, and a nested one for each trial. Who calls, and when: sweep_tracking.py.

    runs = SweepRuns(store, facts, note=study.note, refused=lambda number: False)
    runs.open()
    runs.start(proposal, at); runs.record(3, record, at); runs.ended(3, outcome, at)
    runs.close("FINISHED", summary)

Nothing is logged twice: what a run has already is skipped. All methods talk to the store and raise what it raises; each can
be called again after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcdarts_tune.spaces import naming
from pcdarts_tune.sweeps.descriptions import SweepLinks, describe_trial
from pcdarts_tune.sweeps.pictures import TrialPictures, drawn_at
from pcdarts_tune.tracking.store import OBJECTIVE
from pcdarts_tune.tracking.tags import Tag, execution_tags
from pcdarts_tune.tracking.view import saved_view

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.tasks import Outcome, Proposal
    from pcdarts_tune.tracking.store import MlflowStore

Description = Callable[[SweepLinks], str]
"""The sweep in a few lines of Markdown."""
DESCRIBE_EVERY = 30.0
"""Seconds between two descriptions of a sweep that runs, at least: reading all its trials takes a while."""
STAGES = {
    "search": "search/epoch",
    "evaluation": "evaluation/epoch",
    "derived": "cost/params",
    "ended": "trials/ended",
}
"""The metric that is logged last of each stage: a step that has it has everything."""


@dataclass(frozen=True)
class SweepFacts:
    """What is recorded of a sweep with each of its runs.

    Attributes:
        identity: a name may come again in another home; this never does.
        data: `name`, `digest`, `source` and `profile` of the data set.
        tags: versions, git revision, seed.
    """

    name: str
    identity: str
    space: Space
    data: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class _Run:
    run_id: str
    proposal: Proposal
    logged: dict[str, set[int]] = field(default_factory=dict)
    alphas: dict[int, dict[str, Any]] = field(default_factory=dict)
    execution: dict[str, str] = field(default_factory=dict)


class SweepRuns:
    """One sweep's runs in one store.

    Args:
        note: keeps a value with the study: `run` and `run/<number>` are run ids, `delivered/<number>` says that a trial
            that ended is written down wholly.
        refused: whether the store refused something of that trial for good.
        describe: describes the sweep, as it goes on.
    """

    def __init__(
        self,
        store: MlflowStore,
        facts: SweepFacts,
        note: Callable[[str, Any], None],
        refused: Callable[[int], bool],
        describe: Description | None = None,
    ) -> None:
        self._store, self._facts, self._note = store, facts, note
        self._refused, self._describe = refused, describe
        self._described = time.monotonic()
        self._parent = ""
        self._objectives: set[int] | None = None
        """Trials whose result the sweep's own run has; None while that is not known."""
        self._runs: dict[int, _Run] = {}

    def _tags(self, kind: str) -> dict[str, str]:
        facts = self._facts
        # MLflow shows tags in the order they were set in: what people look for first, versions last
        first = {Tag.SWEEP: facts.name, Tag.KIND: kind}
        return {**first, Tag.SPACE: facts.space.name, **facts.tags}

    def open(self) -> None:
        """Begin, or go on with, the sweep's own run."""
        facts = self._facts
        identity = {Tag.SWEEP_ID: facts.identity, Tag.KIND: "sweep"}
        run_id, new = self._store.open_run(
            facts.space.name, identity, name=facts.name, tags=self._tags("sweep")
        )
        if new:
            self._store.log_json(run_id, facts.space.model_dump(mode="json"), "space.json")
            self._store.log_dataset(run_id, **facts.data)
            self._store.set_experiment_tag(
                facts.space.name, *saved_view(facts.name, facts.identity, facts.space)
            )
        self._parent = run_id
        self._note("run", run_id)

    def _ensure_open(self) -> None:
        """The store may have refused the sweep's run when it was opened: what needs it tries again."""
        if not self._parent:
            self.open()

    def start(self, proposal: Proposal, at: int) -> None:
        """Begin, or go on with, a trial's run; `at`: milliseconds since 1970, as everywhere here."""
        self._ensure_open()
        number, facts = proposal.number, self._facts
        identity = {Tag.SWEEP_ID: facts.identity, Tag.KIND: "trial", Tag.TRIAL: str(number)}
        now = {Tag.TRIAL: str(number), Tag.OUTCOME: "running", Tag.STAGE: "search"}
        run_id, new = self._store.open_run(
            facts.space.name,
            identity,
            name=naming.run_name(number, proposal.hyperparameters),
            tags={**now, Tag.SEED: str(proposal.seed), **self._tags("trial")},
            parent=self._parent,
            at=at,
        )
        self._note(f"run/{number}", run_id)
        if new:
            self._store.log_parameters(run_id, naming.parameters(facts.space.tune, proposal.hyperparameters))
            resolved = {
                "hyperparameters": proposal.hyperparameters,
                "seed": proposal.seed,
                "space": _constants(facts.space),
            }
            self._store.log_json(run_id, resolved, "config.json")
            self._store.log_dataset(run_id, **facts.data)
        run = _Run(run_id, proposal)
        if not new:
            self._recall(run)
        self._runs[number] = run

    def record(self, number: int, record: dict[str, Any], at: int) -> None:
        """What a trial reported (see trainable.py)."""
        run = self._runs[number]
        if record["kind"] == "derived":
            self._derived(run, record, at)
            return
        stage, epoch = record["stage"], record["epoch"]
        if "alphas" in record:
            run.alphas[epoch] = record["alphas"]
        if epoch in run.logged.setdefault(stage, set()):
            return
        if "genotype" in record and drawn_at(epoch, record["epochs"]):
            pictures = self._pictures(run)
            pictures.cells(record["genotype"], epoch)
            if "alphas" in record:
                pictures.alphas(record["alphas"], epoch)
        if record.get("execution", run.execution) != run.execution:
            run.execution = record["execution"]
            self._store.set_tags(run.run_id, execution_tags(run.execution))
        # last: an epoch that has its numbers has all
        numbers = {**record["metrics"], f"{stage}/epoch": epoch}
        self._store.log_epoch(run.run_id, numbers, epoch, at=at)
        run.logged[stage].add(epoch)

    def _pictures(self, run: _Run) -> TrialPictures:
        primitives = self._facts.space.supernet.primitives
        return TrialPictures(self._store, run.run_id, run.proposal.number, primitives)

    def _derived(self, run: _Run, record: dict[str, Any], at: int) -> None:
        if run.logged.get("derived"):
            return
        last, pictures = max(run.logged.get("search", ()), default=0), self._pictures(run)
        self._store.log_json(run.run_id, record["genotype"], "genotype.json")
        pictures.cells(record["genotype"], last)
        if run.alphas:
            self._store.log_json(run.run_id, run.alphas, "alphas.json")
            pictures.alphas(run.alphas[last], last)
            pictures.history(run.alphas)
        tags = {Tag.GENOTYPE: record["genotype_hash"], Tag.STAGE: "evaluation"}
        self._store.set_tags(run.run_id, tags)
        cost = {"cost/params": record["params"], "cost/macs": record["macs"]}
        if "latency" in record:
            cost["cost/latency_ms"] = record["latency"]
        self._store.log_epoch(run.run_id, cost, 0, at=at)
        run.logged["derived"] = {0}
        run.alphas.clear()

    def ended(self, number: int, outcome: Outcome, at: int) -> None:
        """A trial has ended: its result, its cost, its description; its run is closed."""
        run = self._runs[number]
        if not run.logged.get("ended"):
            numbers = cost_metrics(outcome)
            if run.logged.get("derived"):
                numbers.pop("cost/latency_ms", None)  # was logged then
            if outcome.objective is not None:
                numbers[OBJECTIVE] = outcome.objective
                self._result(number, outcome.objective, at)
            if outcome.evaluation_from is not None:
                numbers |= {
                    key: value for key, value in outcome.metrics.items() if key.startswith("evaluation/")
                }
            self._store.log_epoch(run.run_id, {**numbers, "trials/ended": 0}, 0, at=at)
            run.logged["ended"] = {0}
        taken = None if outcome.evaluation_from is None else str(outcome.evaluation_from)
        note = describe_trial(run.proposal, outcome, self._links(), self._parent)
        self._store.set_tags(
            run.run_id,
            {
                Tag.OUTCOME: outcome.state,
                Tag.STAGE: "ended",
                Tag.REASON: outcome.reason,
                Tag.EVALUATION_FROM: taken,
                **share_tags(outcome),
                "mlflow.note.content": note,
            },
        )
        name = naming.run_name(number, run.proposal.hyperparameters, outcome.objective, outcome.state)
        self._store.close_run(
            run.run_id, "FAILED" if outcome.state == "failed" else "FINISHED", name=name, at=at
        )
        # what the store refused is tried again by the next driver
        if not self._refused(number):
            self._note(f"delivered/{number}", True)
        if self._describe is not None and time.monotonic() - self._described > DESCRIBE_EVERY:
            self._described = time.monotonic()
            self._store.set_tags(self._parent, {"mlflow.note.content": self._describe(self._links())})
        # last: where something above fails, all of it is done again
        del self._runs[number]

    def _result(self, number: int, objective: float, at: int) -> None:
        """A trial's result in the sweep's own run, as a metric over trials."""
        if self._objectives is None:
            self._objectives = self._store.steps(self._parent, "trials/objective")
        if number not in self._objectives:
            self._store.log_epoch(self._parent, {"trials/objective": objective}, number, at=at)
            self._objectives.add(number)

    def _links(self) -> SweepLinks:
        facts = self._facts
        return SweepLinks(self._store.experiment(facts.space.name), facts.name, facts.identity)

    def close(self, status: str, summary: str | Description) -> None:
        """End the sweep's run (FINISHED, KILLED), and those of trials that were interrupted."""
        for run in self._runs.values():
            self._store.close_run(run.run_id, "KILLED")
        self._runs.clear()
        self._ensure_open()
        text = summary if isinstance(summary, str) else summary(self._links())
        self._store.set_tags(self._parent, {"mlflow.note.content": text})
        self._store.close_run(self._parent, status)

    def doubt(self, error: Exception) -> None:
        """A delivery failed, perhaps after it was written: look what the runs really have."""
        self._objectives = None
        for run in self._runs.values():
            self._recall(run)

    def _recall(self, run: _Run) -> None:
        self._store.doubt(run.run_id)
        run.logged = {stage: self._store.steps(run.run_id, metric) for stage, metric in STAGES.items()}


def share_tags(outcome: Outcome) -> dict[str, str]:
    """What the trial had of its machine: on a CPU its result depends on the number of threads."""
    from pcdarts_tune.tasks import CPUS, GPUS

    if CPUS not in outcome.metrics:
        return {}
    device = "cuda" if outcome.metrics.get(GPUS) else "cpu"
    return {Tag.DEVICE: device, Tag.THREADS: str(max(1, int(outcome.metrics[CPUS])))}


def cost_metrics(outcome: Outcome) -> dict[str, float]:
    """What a trial cost, and what its genotype does, as metrics."""
    from pcdarts_tune.tasks import hours

    numbers = {} if outcome.seconds is None else {"cost/seconds": outcome.seconds}
    if (spent := hours(outcome)) is not None:
        numbers[f"cost/{spent.unit.lower()}_hours"] = spent.hours
    return numbers if outcome.latency is None else {**numbers, "cost/latency_ms": outcome.latency}


def _constants(space: Space) -> dict[str, Any]:
    return space.model_dump(mode="json", exclude={"tune"})
