"""What a sweep tells MLflow about itself: the facts each run carries, what it still owes, and its summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcdarts_tune.recording import naming
from pcdarts_tune.recording.sweep_tracking import SweepFacts, SweepTracker
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
    return SweepTracker(sweep.store(), facts, sweep.study.note)


def deliver_late(sweep: SweepHandle, tracker: SweepTracker) -> None:
    """Trials that ended while MLflow was away or just before the driver died: write them down now."""
    notes = sweep.study.notes()
    for record in sweep.records():
        if record.state not in ("complete", "failed", "pruned") or notes.get(f"delivered/{record.trial}"):
            continue
        tracker.trial(Proposal(record.trial, record.seed, record.hyperparameters))
        result = read_result(sweep.folder.trial(record.trial))
        if result is not None:
            tracker.record(record.trial, {"kind": "history", "records": result["history"]})
        fields = {name: getattr(record, name) for name in Outcome.__dataclass_fields__}
        tracker.ended(record.trial, Outcome(**fields))


def summary(sweep: SweepHandle) -> str:
    """The sweep in a few lines of Markdown."""
    records = sweep.records()
    states = ", ".join(f"{number} {state}" for state, number in counts(records).items()) or "no trial yet"
    lines = [f"Sweep `{sweep.name}` of space `{sweep.space.name}`: {states} of {sweep.target}."]
    if records and records[0].objective is not None:
        best = records[0]
        lines.append(
            f"Best: trial {best.trial}, accuracy **{best.objective:.4f}** on held-out images "
            f"({naming.settings(best.hyperparameters) or 'default settings'}). "
            f"To retrain and register it: `pcdarts-tune promote {sweep.name}`"
        )
    return "\n\n".join(lines)
