"""The driver's ear: what Ray Tune tells of its trials goes to the study first, then to MLflow and the person watching.

An outcome is written down the moment it arrives. A trial that Ray gives up on is failed with its reason; one
that is cut off because the sweep stops is left as it is, and `resume` goes on with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from pcdarts_tune.sweeping.outcome import Outcome
from pcdarts_tune.sweeping.trialstate import leave_failed

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from pcdarts_tune.recording.sweep_tracking import SweepTracker
    from pcdarts_tune.study import Proposal, SweepStudy
    from pcdarts_tune.sweeping.searcher import StudySearcher
    from pcdarts_tune.terminal.view import View


class Recorder(Callback):
    """Passes on what happens.

    Args:
        searcher: knows which proposal runs under which of Ray's ids.
        folder: of a trial, by its number.
    """

    def __init__(
        self,
        study: SweepStudy,
        tracker: SweepTracker,
        view: View,
        searcher: StudySearcher,
        folder: Callable[[int], Path],
    ) -> None:
        self._study, self._tracker, self._view, self._searcher = (study, tracker, view, searcher)
        self._folder = folder
        self.ended: set[int] = set()
        """Trials that have ended in this run."""
        self.live: set[int] = set()
        """Trials that have started and not ended."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        proposal = self._proposal(trial)
        if proposal.number in self.live:
            self._view.restarted(proposal.number, "its process was lost")
            return
        self.live.add(proposal.number)
        self._study.start(proposal.number)
        self._tracker.trial(proposal)
        self._view.started(proposal)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        # what Ray keeps of a result stays small: its snapshots hold the last one of every trial
        record = json.loads(result.pop("record"))
        number = self._proposal(trial).number
        if record["kind"] == "outcome":
            record.pop("kind")
            self._end(number, Outcome.from_dict(record))
            return
        self._tracker.record(number, record)
        self._view.record(number, record)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.fail(self._proposal(trial).number, _reason(trial))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._view.tick(self._tracker.trouble)

    def fail(self, number: int, reason: str) -> None:
        """Give a trial up, whose process is gone: its result is left here, in its place."""
        outcome = Outcome("failed", reason=reason)
        if number not in self.ended:
            leave_failed(self._folder(number), outcome)
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        if number in self.ended or not self._study.tell(number, outcome):
            return
        self.ended.add(number)
        self.live.discard(number)
        self._tracker.ended(number, outcome)
        self._view.ended(number, outcome)

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
