"""What Ray Tune says of its trials goes to the study first, then to MLflow and the person watching.

An outcome is written down the moment it arrives. A trial that Ray gives up on is failed with its reason; one
that is cut off because the sweep stops is left as it is, and `resume` goes on with it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from pcdarts_tune.errors import is_disk_full
from pcdarts_tune.sweeps.study.objectives import Rung, rungs_in
from pcdarts_tune.sweeps.trials.log import write_failure
from pcdarts_tune.sweeps.trials.reports import send_decision
from pcdarts_tune.tasks import Outcome

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from pcdarts_tune.sweeps.searcher import StudySearcher
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.sweeps.tracker import SweepTracker
    from pcdarts_tune.sweeps.view import View
    from pcdarts_tune.tasks import Proposal


class Recorder(Callback):
    """Passes on what happens to the trials of a sweep.

    Args:
        searcher: knows which proposal runs under which of Ray's ids.
    """

    def __init__(
        self, sweep: SweepHandle, tracker: SweepTracker, view: View, searcher: StudySearcher
    ) -> None:
        self._sweep, self._study = sweep, sweep.study
        self._tracker, self._view, self._searcher = tracker, view, searcher
        self.ended: set[int] = set()
        """Trials that have ended in this run."""
        self.live: set[int] = set()
        """Trials that have started and not ended."""
        self._actors: dict[int, str] = {}
        """Trial -> Ray's id of the actor that it runs in."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        proposal = self._proposal(trial)
        if proposal.number in self.ended:
            return  # its process was lost after it had told its outcome: Ray starts it again, for nothing
        if (actor := trial.temporary_state.ray_actor) is not None:
            self._actors[proposal.number] = actor._actor_id.hex()
        if proposal.number in self.live:
            self._view.trial_restarted(proposal.number, "its process was lost")
            return
        self.live.add(proposal.number)
        self._study.start(proposal.number)
        self._tracker.trial(proposal)
        self._view.trial_started(proposal)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        # what Ray keeps of a result stays small: its snapshots hold the last one of every trial
        number = self._proposal(trial).number
        for record in json.loads(result.pop("records", "[]")):
            if number not in self.ended:
                self._record(number, record)

    def _record(self, number: int, record: dict[str, Any]) -> None:
        if record["kind"] == "outcome":
            record.pop("kind")
            self._end(number, Outcome(**record))
            return
        self._decide(number, record)
        self._tracker.record(number, record)
        self._view.trial_reported(number, record)

    def _decide(self, number: int, record: dict[str, Any]) -> None:
        """A trial that has reached a rung waits to learn whether it goes on: the study decides."""
        for reached in rungs_in(record):
            rung = Rung.after(self._sweep.space, reached["epochs"])
            stop = self._study.decide_at_rung(number, reached["values"], rung)
            send_decision(self._sweep.folder.trial_address(number), rung.epochs, stop)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if is_disk_full(reason := _reason(trial)):
            raise OSError(reason)  # not the trial's fault: the whole sweep stops
        self.fail(self._proposal(trial).number, reason)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._view.refresh(self._tracker.trouble)

    def lost(self, actors: frozenset[str]) -> set[int]:
        """The trials that ran in these actors; all that ran where none of them did."""
        return {number for number in self.live if self._actors.get(number) in actors} or set(self.live)

    def fail(self, number: int, reason: str) -> None:
        """Give a trial up, whose process is gone: its result is left here, in its place, and what it could not report any
        more is passed on."""
        outcome = Outcome("failed", reason=reason)
        if number not in self.ended and (
            history := write_failure(self._sweep.folder.trial_address(number), outcome)
        ):
            self._tracker.record(number, {"kind": "history", "records": history})
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        if number in self.ended or not self._study.tell(number, outcome):
            return
        self.ended.add(number)
        self.live.discard(number)
        self._tracker.ended(number, outcome)
        self._view.trial_ended(number, outcome)

    def _proposal(self, trial: Trial) -> Proposal:
        return self._searcher.proposals[trial.trial_id]

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _reason(trial: Trial) -> str:
    """Why Ray gave a trial up: the line that says it, of what it wrote down."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Killed|Died)\b", line)]
    reason = (said or lines or ["its process was lost"])[-1][:400]
    return f"{reason} ({trial.num_failures} times)" if trial.num_failures > 1 else reason
