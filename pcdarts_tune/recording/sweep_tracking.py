"""What a sweep leaves in MLflow: one parent run, a nested run for each trial; epochs, cells, alphas, outcome, lineage.

The driver hands over what happens; a thread writes it down (outbox.py), so neither a slow store nor one that
is away for a while holds a trial up, and nothing is logged twice: an epoch that the run has already is skipped.

    tracker = SweepTracker(store, facts, note=study.note)
    tracker.open()
    tracker.trial(proposal); tracker.record(3, record); tracker.ended(3, outcome)
    undelivered = tracker.close("FINISHED", summary)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcdarts_tune.recording import naming
from pcdarts_tune.recording.outbox import Outbox
from pcdarts_tune.tracking import OBJECTIVE

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.study import Proposal
    from pcdarts_tune.sweeping.outcome import Outcome
    from pcdarts_tune.tracking import MlflowStore

PICTURES = 4
"""How many times the cells are drawn while a search runs; once more when it has ended."""


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
    logged: dict[str, int] = field(default_factory=dict)
    alphas: dict[int, dict[str, Any]] = field(default_factory=dict)
    drawn: str = ""


class SweepTracker:
    """Writes one sweep to a store.

    Args:
        note: keeps a value with the study: `run` and `run/<number>` are run ids, `delivered/<number>` says that a trial
            that ended is written down wholly.
    """

    def __init__(self, store: MlflowStore, facts: SweepFacts, note: Callable[[str, Any], None]) -> None:
        self._store, self._facts, self._note = store, facts, note
        self._outbox = Outbox(self._doubt)
        self._parent = ""
        self._runs: dict[int, _Run] = {}

    @property
    def trouble(self) -> str | None:
        """What the store answered last, when deliveries are waiting for it."""
        return self._outbox.last_error if len(self._outbox) > 1 else None

    def open(self) -> None:
        """Begin, or go on with, the sweep's own run."""
        self._outbox.put(self._open)

    def trial(self, proposal: Proposal) -> None:
        """A trial starts, for the first time or again."""
        self._outbox.put(lambda: self._trial(proposal))

    def record(self, number: int, record: dict[str, Any]) -> None:
        """A trial reported a record (see trainable.py)."""
        for entry in record["records"] if record["kind"] == "history" else [record]:
            self._outbox.put(lambda entry=entry: self._record(number, entry))  # type: ignore[misc]

    def ended(self, number: int, outcome: Outcome) -> None:
        """A trial has ended."""
        self._outbox.put(lambda: self._ended(number, outcome))

    def close(self, status: str, summary: str, timeout: float = 60.0) -> int:
        """End the sweep's run (FINISHED, KILLED), and those of trials that were interrupted; wait for what is waiting.

        Returns:
            How many deliveries the store did not take.
        """
        self._outbox.put(lambda: self._close(status, summary))
        return self._outbox.close(timeout)

    def _tags(self, kind: str) -> dict[str, str]:
        facts = self._facts
        return {
            "pcdarts.sweep": facts.name,
            "pcdarts.space": facts.space.name,
            **facts.tags,
            "pcdarts.kind": kind,
        }

    def _open(self) -> None:
        facts = self._facts
        identity = {"pcdarts.sweep_id": facts.identity, "pcdarts.kind": "sweep"}
        run_id, new = self._store.open_run(
            facts.space.name, identity, name=facts.name, tags=self._tags("sweep")
        )
        if new:
            self._store.log_json(run_id, facts.space.model_dump(mode="json"), "space.json")
            self._store.log_dataset(run_id, **facts.data)
        self._parent = run_id
        self._note("run", run_id)

    def _ensure_open(self) -> None:
        """The store may have refused the sweep's run when it was opened: what needs it tries again."""
        if not self._parent:
            self._open()

    def _trial(self, proposal: Proposal) -> None:
        self._ensure_open()
        number, facts = proposal.number, self._facts
        identity = {"pcdarts.sweep_id": facts.identity, "pcdarts.kind": "trial", "pcdarts.trial": str(number)}
        run_id, new = self._store.open_run(
            facts.space.name,
            identity,
            name=naming.run_name(number, proposal.hyperparameters),
            tags={**self._tags("trial"), "pcdarts.seed": str(proposal.seed)},
            parent=self._parent,
        )
        if new:
            self._note(f"run/{number}", run_id)
            self._store.log_parameters(run_id, naming.parameters(facts.space.tune, proposal.hyperparameters))
            resolved = {
                "hyperparameters": proposal.hyperparameters,
                "seed": proposal.seed,
                "space": _constants(facts.space),
            }
            self._store.log_json(run_id, resolved, "config.json")
            self._store.log_dataset(run_id, **facts.data)
        self._runs[number] = _Run(run_id, proposal)
        if not new:
            self._recall(self._runs[number])

    def _record(self, number: int, record: dict[str, Any]) -> None:
        run = self._runs[number]
        if record["kind"] == "derived":
            self._derived(run, record)
            return
        stage, epoch = record["stage"], record["epoch"]
        if "alphas" in record:
            run.alphas[epoch] = record["alphas"]
        if epoch <= run.logged.get(stage, -1):
            return
        self._store.log_epoch(run.run_id, {**record["metrics"], f"{stage}/epoch": epoch}, epoch)
        run.logged[stage] = epoch
        every = max(1, record["epochs"] // PICTURES)
        if "genotype" in record and (epoch + 1) % every == 0 and epoch + 1 < record["epochs"]:
            self._cells(run, record["genotype"], epoch)

    def _derived(self, run: _Run, record: dict[str, Any]) -> None:
        if run.logged.get("derived", -1) >= 0:
            return
        last = max(run.alphas, default=0)
        self._store.log_json(run.run_id, record["genotype"], "genotype.json")
        self._cells(run, record["genotype"], last)
        if run.alphas:
            self._store.log_json(run.run_id, run.alphas, "alphas.json")
            self._alphas(run, last)
        self._store.set_tags(run.run_id, {"pcdarts.genotype": record["genotype_hash"]})
        self._store.log_epoch(run.run_id, {"cost/params": record["params"], "cost/macs": record["macs"]}, 0)
        run.logged["derived"] = 0
        run.alphas.clear()

    def _cells(self, run: _Run, genotype: dict[str, Any], step: int) -> None:
        from pcdarts_tune.core.genotype import Genotype
        from pcdarts_tune.draw import cells_png

        text = json.dumps(genotype)
        if text != run.drawn:
            number = run.proposal.number
            png = cells_png(Genotype.from_dict(genotype), title=f"trial {number}, epoch {step + 1}")
            self._store.log_png(run.run_id, png, key="cells", step=step)
            run.drawn = text

    def _alphas(self, run: _Run, last: int) -> None:
        from pcdarts_tune.drawing.heatmap import arch_history_png

        epochs = sorted(run.alphas)
        names = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")
        # without edge normalisation there are no betas
        parts = {
            name: [run.alphas[epoch][name] for epoch in epochs]
            for name in names
            if run.alphas[last].get(name)
        }
        png = arch_history_png(
            parts["alpha_normal"],
            parts["alpha_reduce"],
            parts.get("beta_normal"),
            parts.get("beta_reduce"),
            self._facts.space.supernet.primitives,
            epochs=[epoch + 1 for epoch in epochs],
            title=f"trial {run.proposal.number}",
        )
        self._store.log_png(run.run_id, png, key="alphas", step=last)

    def _ended(self, number: int, outcome: Outcome) -> None:
        run = self._runs[number]
        numbers = {"cost/seconds": outcome.seconds} if outcome.seconds is not None else {}
        if outcome.objective is not None and run.logged.get("ended", -1) < 0:
            numbers[OBJECTIVE] = outcome.objective
            if number not in self._store.steps(self._parent, "trials/objective"):
                self._store.log_epoch(self._parent, {"trials/objective": outcome.objective}, number)
        if run.logged.get("ended", -1) < 0:
            if outcome.evaluation_from is not None:
                numbers |= {
                    key: value for key, value in outcome.metrics.items() if key.startswith("evaluation/")
                }
            self._store.log_epoch(run.run_id, {**numbers, "trials/ended": 0}, 0)
        taken = None if outcome.evaluation_from is None else str(outcome.evaluation_from)
        note = describe(run.proposal, outcome, self._facts.name)
        self._store.set_tags(
            run.run_id,
            {
                "pcdarts.outcome": outcome.state,
                "pcdarts.reason": outcome.reason,
                "pcdarts.evaluation_from": taken,
                "mlflow.note.content": note,
            },
        )
        name = naming.run_name(number, run.proposal.hyperparameters, outcome.objective, outcome.state)
        self._store.close_run(run.run_id, "FAILED" if outcome.state == "failed" else "FINISHED", name=name)
        self._note(f"delivered/{number}", True)
        del self._runs[number]

    def _close(self, status: str, summary: str) -> None:
        for run in self._runs.values():
            self._store.close_run(run.run_id, "KILLED")
        self._runs.clear()
        self._ensure_open()
        self._store.set_tags(self._parent, {"mlflow.note.content": summary})
        self._store.close_run(self._parent, status)

    def _doubt(self, error: Exception) -> None:
        """A delivery failed, perhaps after it was written: look which epochs the runs really have."""
        for run in self._runs.values():
            self._recall(run)

    def _recall(self, run: _Run) -> None:
        stages = {
            "search": "search/epoch",
            "evaluation": "evaluation/epoch",
            "derived": "cost/params",
            "ended": "trials/ended",
        }
        run.logged = {
            stage: max(self._store.steps(run.run_id, metric), default=-1) for stage, metric in stages.items()
        }


def describe(proposal: Proposal, outcome: Outcome, sweep: str) -> str:
    """A trial in two lines of Markdown."""
    settings = naming.settings(proposal.hyperparameters) or "the space's own settings"
    if outcome.objective is None:
        return f"Trial {proposal.number} of sweep `{sweep}` {outcome.state}: {outcome.reason}\n\nSettings: {settings}"
    source = "" if outcome.evaluation_from is None else f" (evaluated by trial {outcome.evaluation_from})"
    return (
        f"Trial {proposal.number} of sweep `{sweep}`: accuracy **{outcome.objective:.4f}** on held-out images{source}, "
        f"{outcome.params:,} parameters.\n\n"
        f"Settings: {settings}. To retrain: `pcdarts-tune promote {sweep} --trial {proposal.number}`"
    )


def _constants(space: Space) -> dict[str, Any]:
    return space.model_dump(mode="json", exclude={"tune"})
