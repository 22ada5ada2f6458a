"""What a sweep leaves in MLflow: one parent run, a nested run for each trial; epochs, cells, alphas, outcome, lineage.

The driver hands over what happens; a thread writes it down (outbox.py; what is written: sweep_runs.py), so neither a slow
store nor one that is away for a while holds a trial up.

    tracker = SweepTracker(store, facts, note=study.note)
    tracker.open()
    tracker.trial(proposal); tracker.record(3, record); tracker.ended(3, outcome)
    undelivered = tracker.close("FINISHED", summary)

What a sweep tells MLflow about itself: the facts each run carries, what it still owes, and its summary.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pcdarts_tune.sweeps.descriptions import SweepLinks, describe_sweep
from pcdarts_tune.sweeps.runs import Description, SweepFacts, SweepRuns
from pcdarts_tune.sweeps.sweep import counts
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.tasks import Outcome, Proposal
from pcdarts_tune.tracking.outbox import Outbox
from pcdarts_tune.tracking.scope import answering_at_once
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tracking.store import MlflowStore

WAITING = 2000
"""Records that are kept in memory for a store that is away; what is beyond is read from the trials' folders when they have
ended."""


class SweepTracker:
    """Writes one sweep to a store.

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
        self._runs = SweepRuns(store, facts, note, lambda number: number in self._outbox.refused, describe)
        self._outbox = Outbox(self._runs.doubt)
        self._history = history
        self._behind: set[int] = set()
        """Trials some of whose records were not kept in memory: their folders have them."""
        self._settings = ExitStack()

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
        self._settings.enter_context(answering_at_once())
        self._outbox.put(self._runs.open)

    def trial(self, proposal: Proposal) -> None:
        """A trial starts, for the first time or again."""
        at = _now()
        self._outbox.put(lambda: self._runs.start(proposal, at), proposal.number)

    def record(self, number: int, record: dict[str, Any]) -> None:
        """A trial reported a record (see trainable.py)."""
        at = _now()
        for entry in record["records"] if record["kind"] == "history" else [record]:
            if number in self._behind or (self._history is not None and len(self._outbox) >= WAITING):
                self._behind.add(number)
                return
            self._outbox.put(lambda entry=entry: self._runs.record(number, entry, at), number)  # type: ignore[misc]

    def ended(self, number: int, outcome: Outcome) -> None:
        """A trial has ended."""
        at = _now()
        if number in self._behind:
            self._behind.discard(number)
            self._outbox.put(lambda: self._catch_up(number, at), number)
        self._outbox.put(lambda: self._runs.ended(number, outcome, at), number)

    def late(self, proposal: Proposal, outcome: Outcome) -> None:
        """A trial that ended without all of it having been written down."""
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
            waiting: told how many deliveries are left when it takes longer than a moment.

        Returns:
            How many deliveries the store did not take.
        """
        self._outbox.put(lambda: self._runs.close(status, summary))
        try:
            return self._outbox.close(timeout, waiting)
        finally:
            self._settings.close()

    def _catch_up(self, number: int, at: int) -> None:
        for record in self._history(number) if self._history is not None else []:
            self._runs.record(number, record, at)


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


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
    """Trials that ended while MLflow was away or just before the driver died: write them down now."""
    notes = sweep.study.notes()
    for record in sweep.records():
        if record.state not in ("complete", "failed", "pruned") or notes.get(f"delivered/{record.trial}"):
            continue
        tracker.late(record.proposal, record.outcome)


def summary(sweep: SweepHandle) -> Callable[[SweepLinks], str]:
    """Describes the sweep in two lines of Markdown, as it is when it is called."""

    def describe(links: SweepLinks) -> str:
        records = sweep.records()
        best = records[0] if records and records[0].objective is not None else None
        return describe_sweep(sweep.space.name, counts(records), sweep.target, best, links)

    return describe
