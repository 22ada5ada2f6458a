"""What a sweep tells MLflow about itself: the facts each run carries, what it still owes, and its summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pcdarts_tune.recording.descriptions import SweepLinks, describe_sweep
from pcdarts_tune.recording.sweep_runs import SweepFacts
from pcdarts_tune.recording.sweep_tracking import SweepTracker
from pcdarts_tune.study import Proposal
from pcdarts_tune.sweep import counts
from pcdarts_tune.sweeping.outcome import Outcome
from pcdarts_tune.sweeping.trialstate import read_result

if TYPE_CHECKING:
    from pcdarts_tune.sweep import SweepHandle


def tracker_of(sweep: SweepHandle) -> SweepTracker:
    """The writer of the sweep's runs."""
    tags = {f"pcdarts.version.{package}": version for package, version in sweep.about["versions"].items()}
    if sweep.about["git"]:
        tags["mlflow.source.git.commit"] = sweep.about["git"]
    tags["pcdarts.sweep_seed"] = str(sweep.settings.seed)
    tags["pcdarts.data"] = sweep.about["data"]["digest"]
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
        fields = {name: getattr(record, name) for name in Outcome.__dataclass_fields__}
        proposal = Proposal(record.trial, record.seed, record.hyperparameters)
        tracker.late(proposal, Outcome(**fields))


def summary(sweep: SweepHandle) -> Callable[[SweepLinks], str]:
    """Describes the sweep in two lines of Markdown, as it is when it is called."""

    def describe(links: SweepLinks) -> str:
        records = sweep.records()
        best = records[0] if records and records[0].objective is not None else None
        return describe_sweep(sweep.space.name, counts(records), sweep.target, best, links)

    return describe
