"""What a sweep leaves in MLflow: one parent run, and a nested run for each trial (runs.py), each described in two lines of
Markdown. A thread writes down what happens (tracking/outbox.py), so that a slow store holds no trial up.

    tracker = SweepTracker(store, facts, note=study.note)
    tracker.open()
    tracker.trial(proposal); tracker.record(3, record); tracker.ended(3, outcome)
    undelivered = tracker.close("FINISHED", summary)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.scores import score_title, scored_on, trains
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.noise import candidate_options, read_noise
from pcdarts_tune.sweeps.runs import SweepFacts, TrialRun
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.sweeps.trials.repeats import describe_repeats
from pcdarts_tune.tasks import Outcome, Proposal, TrialRecord
from pcdarts_tune.tracking.outbox import Outbox
from pcdarts_tune.tracking.run import Run
from pcdarts_tune.tracking.store import Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.tracking.view import saved_view, view_key, view_link
from pcdarts_tune.training.scoring import describe_majority

WAITING = 2000
"""Records that are kept in memory for a store that is away; the others are read from the trials' folders later."""
DESCRIBE_EVERY = 30.0
"""Seconds between two descriptions of a sweep that runs, at least: reading all its trials takes a while."""


@dataclass(frozen=True)
class SweepLinks:
    """Where a sweep is in MLflow: its experiment and the key of its view; made once its run is open."""

    experiment_id: str
    sweep: str
    identity: str

    def run(self, text: str, run_id: str | None) -> str:
        """A link to a run."""
        if run_id is None:
            return text
        return f"[{text}](#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning)"

    def trials(self, text: str, *, charts: bool) -> str:
        """A link to the sweep's trials, best first."""
        key = view_key(self.sweep, self.identity)
        return f"[{text}]({view_link('', self.experiment_id, key, charts=charts)})"


def describe_trial(
    proposal: Proposal, outcome: Outcome, links: SweepLinks, parent: str, score: str = "accuracy"
) -> str:
    """A trial in two lines."""
    settings = naming.format_settings(proposal.hyperparameters) or "nothing is tuned"
    sweep = links.run(links.sweep, parent)
    title = f"Trial {proposal.number} of sweep {sweep}"
    others = links.trials("the other trials", charts=False)
    if outcome.objective is None:
        return f"{title} {outcome.state}: {outcome.reason}\n\nSettings: {settings}. Beside it: {others}."
    source = "" if outcome.evaluation_from is None else f" (evaluated by trial {outcome.evaluation_from})"
    size = "" if outcome.params is None else f", {naming.short_count(outcome.params)} parameters"
    return (
        f"{title}: {_score(outcome, score)}{source}{size}; beside it: {others}.\n\n"
        f"Settings: {settings}. To retrain it: `pcdarts-tune promote {links.sweep} --trial {proposal.number}`"
    )


def _score(of: Outcome | TrialRecord, score: str) -> str:
    """The score of a complete trial with all that says how much it means, as Markdown."""
    error = "" if of.standard_error is None else f" (standard error {of.standard_error:.4f})"
    images = f"{of.held_out['images']:,} " if of.held_out and not trains(score) else ""
    majority = describe_majority(of.held_out)
    return (
        f"{score_title(score)} **{of.objective:.4f}**{error}{describe_repeats(of)} on {images}{scored_on(score)}"
        f"{f', {majority}' if majority else ''}"
    )


def describe_sweep(
    space: Space, states: dict[str, int], target: int, records: Sequence[TrialRecord], links: SweepLinks
) -> str:
    """A sweep in two lines: what came of it, and where to go on; `records` are its trials, best first."""
    best, noise = records[0] if records else None, read_noise(records, space.objective)
    counted = ", ".join(f"{number} {state}" for state, number in states.items()) or "no trial yet"
    first = f"Sweep `{links.sweep}` of space `{space.name}`: {counted} of {target}."
    if best is not None and best.objective is not None:
        trial = links.run(f"trial {best.trial}", best.run_id)
        settings = naming.format_settings(best.hyperparameters) or "default settings"
        first += f" Best: {trial}, {_score(best, space.objective)} ({settings})."
    if noise is not None and noise.within:
        first += f" Note: {noise}."
    table = links.trials("all trials, best first", charts=False)
    charts = links.trials("as charts", charts=True)
    after = f"Look at {table}, or {charts}."
    if best is not None and best.objective is not None:
        options = " ".join(candidate_options(records, space.objective))
        after += (
            f" To retrain and register the best: `{f'pcdarts-tune promote {links.sweep} {options}'.rstrip()}`"
        )
    return f"{first}\n\n{after}"


Description = Callable[[SweepLinks], str]
"""The sweep in a few lines of Markdown."""


class SweepTracker:
    """Writes one sweep to a store. Public methods queue and return; the others are called by the outbox's thread.

    Args:
        note: keeps a value with the study: `run` and `run/<number>` are run ids, `delivered/<number>` says that a trial
            that ended is written down wholly.
        describe: describes the sweep, as it goes on.
        history: the records that an ended trial left in its folder, by its number; without it all records that wait are
            kept in memory.
    """

    def __init__(
        self,
        store: MlflowStore,
        facts: SweepFacts,
        note: Callable[[str, Any], None],
        describe: Description | None = None,
        history: Callable[[int], list[dict[str, Any]]] | None = None,
    ) -> None:
        self._store, self._facts, self._note = store, facts, note
        self._describe, self._described = describe, time.monotonic()
        self._history = history
        self._outbox = Outbox(self._doubt)
        self._sweep_run: Run | None = None
        self._trials: dict[int, TrialRun] = {}
        self._behind: set[int] = set()
        """Trials some of whose records were not kept in memory: their folders have them."""

    @property
    def trouble(self) -> str | None:
        """What the store answered last, when deliveries are waiting for it."""
        return self._outbox.trouble

    @property
    def last_trouble(self) -> str | None:
        """What the store answered the last time that it did not take something."""
        return self._outbox.last_error

    def open(self) -> None:
        """Begin, or go on with, the sweep's own run."""
        self._outbox.put(self._opened)

    def trial(self, proposal: Proposal) -> None:
        """A trial starts, for the first time or again."""
        self._put(proposal.number, self._start, proposal)

    def record(self, number: int, record: dict[str, Any]) -> None:
        """A trial reported a record (see trials/trial.py)."""
        for entry in record["records"] if record["kind"] == "history" else [record]:
            if number in self._behind or (self._history is not None and len(self._outbox) >= WAITING):
                self._behind.add(number)
                return
            self._put(number, self._record, entry)

    def ended(self, number: int, outcome: Outcome) -> None:
        """A trial has ended."""
        if number in self._behind:
            self._behind.discard(number)
            self._put(number, self._catch_up)
        self._put(number, self._end, outcome)

    def late(self, proposal: Proposal, outcome: Outcome) -> None:
        """A trial ended without all of it having been written down."""
        self.trial(proposal)
        self._behind.add(proposal.number)
        self.ended(proposal.number, outcome)

    def close(
        self,
        status: str,
        summary: str | Description,
        timeout: float = 60.0,
        waiting: Callable[[int], None] | None = None,
    ) -> int:
        """End the sweep's run (FINISHED, KILLED), and those of trials that were interrupted; wait for what is waiting.

        Args:
            waiting: called with how many deliveries are left when it takes longer than a moment.

        Returns:
            How many deliveries the store did not take.
        """
        self._outbox.put(partial(self._close, status, summary))
        return self._outbox.close(timeout, waiting)

    def _put(self, number: int, write: Callable[..., None], *args: Any) -> None:
        now = int(time.time() * 1000)
        self._outbox.put(partial(write, number, *args, at=now), number)

    def _opened(self) -> Run:
        """The sweep's run; where the store refused it before, whoever needs it tries again."""
        if self._sweep_run is None:
            facts, name = self._facts, self._facts.space.name
            content = Content(files={"space.json": facts.space.model_dump(mode="json")}, dataset=facts.data)
            run_id, fresh = self._store.open_run(
                name,
                {Tag.SWEEP_ID: facts.identity, Tag.KIND: "sweep"},
                name=facts.name,
                tags=facts.run_tags("sweep"),
                content=lambda: content,
            )
            self._store.set_experiment_tag(name, *saved_view(facts.name, facts.identity, facts.space))
            self._sweep_run = Run(self._store, run_id, fresh=fresh)
            self._note("run", run_id)
        return self._sweep_run

    def _start(self, number: int, proposal: Proposal, at: int) -> None:
        parent = self._opened().run_id
        trial = self._trials[number] = TrialRun.open(self._store, self._facts, proposal, parent, at)
        self._note(f"run/{number}", trial.run.run_id)

    def _record(self, number: int, record: dict[str, Any], at: int) -> None:
        self._trials[number].record(record, at)

    def _catch_up(self, number: int, at: int) -> None:
        for record in self._history(number) if self._history is not None else []:
            self._record(number, record, at)

    def _end(self, number: int, outcome: Outcome, at: int) -> None:
        trial, sweep = self._trials[number], self._opened()
        if outcome.objective is not None:  # a metric over trials
            values = {"trials/objective": outcome.objective}
            sweep.log(values, number, mark="trials/objective", at=at)
        links, score = self._links(), self._facts.space.objective
        trial.end(outcome, describe_trial(trial.proposal, outcome, links, sweep.run_id, score), at)
        # what the store refused is tried again by the next driver
        if number not in self._outbox.refused:
            self._note(f"delivered/{number}", True)
        if self._describe is not None and time.monotonic() - self._described > DESCRIBE_EVERY:
            self._described = time.monotonic()
            self._store.set_tags(sweep.run_id, {"mlflow.note.content": self._describe(self._links())})
        # last: where something above fails, all of it is done again
        del self._trials[number]

    def _close(self, status: str, summary: str | Description) -> None:
        for trial in self._trials.values():
            self._store.close_run(trial.run.run_id, "KILLED")
        self._trials.clear()
        run_id = self._opened().run_id
        text = summary if isinstance(summary, str) else summary(self._links())
        self._store.set_tags(run_id, {"mlflow.note.content": text})
        self._store.close_run(run_id, status)

    def _links(self) -> SweepLinks:
        facts = self._facts
        return SweepLinks(self._store.experiment(facts.space.name), facts.name, facts.identity)

    def _doubt(self, error: Exception) -> None:
        """A delivery failed, perhaps after it was written: look what the runs really have."""
        for run in (self._sweep_run, *(trial.run for trial in self._trials.values())):
            if run is not None:
                run.doubt()


def tracker_of(sweep: SweepHandle) -> SweepTracker:
    """The writer of the sweep's runs."""
    tags = {f"{Tag.VERSION}{package}": version for package, version in sweep.about["versions"].items()}
    if sweep.about["git"]:
        tags["mlflow.source.git.commit"] = sweep.about["git"]
    tags[Tag.SWEEP_SEED] = str(sweep.settings.seed)
    tags[Tag.DATA] = sweep.about["data"]["digest"]
    facts = SweepFacts(sweep.name, sweep.about["id"], sweep.space, sweep.about["data"], tags)

    def history(number: int) -> list[dict[str, Any]]:
        result = read_result(sweep.folder.trial_address(number))
        return [] if result is None else result["history"]

    return SweepTracker(sweep.store(), facts, sweep.study.note, summary(sweep), history)


def deliver_late(sweep: SweepHandle, tracker: SweepTracker) -> None:
    """Write down the trials that ended while MLflow was away or just before the driver died."""
    notes = sweep.study.notes()
    for record in sweep.records():
        if record.state in ("complete", "failed", "pruned") and not notes.get(f"delivered/{record.trial}"):
            tracker.late(record.proposal, record.outcome)


def summary(sweep: SweepHandle) -> Description:
    """Describes the sweep in two lines of Markdown, as it is when it is called."""

    def describe(links: SweepLinks) -> str:
        records = sweep.records()
        return describe_sweep(sweep.space, counts(records), sweep.target, records, links)

    return describe
