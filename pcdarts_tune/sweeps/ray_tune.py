"""What Ray Tune is given to run trials by: a searcher that asks the queue (a sweep's study), and a callback that tells it.

    searcher = StudySearcher(sweep.study, target=32, concurrent=4, task=make_task)
    recorder = Recorder(work, tracker, view, searcher, share)

Neither keeps anything of its own. Trials that an earlier driver left unfinished come first, under their own numbers; one that Ray
gives up on is failed with its reason; one that is cut off because the sweep stops is left as it is, for `resume`.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher

from pcdarts_tune.cluster.resources import Share, lacking
from pcdarts_tune.errors import is_disk_full
from pcdarts_tune.sweeps.ending import Stop
from pcdarts_tune.sweeps.study.objectives import rungs_in
from pcdarts_tune.sweeps.trials.log import write_failure
from pcdarts_tune.sweeps.trials.reports import send_decision
from pcdarts_tune.sweeps.view import View
from pcdarts_tune.sweeps.work import Queue, Tracker, Work
from pcdarts_tune.tasks import Outcome, Proposal, TrialTask

WAITS = 15.0
"""Seconds without a trial after which the view says that the cluster is full, where it is."""


class Recorder(Callback):
    """Passes on what happens to trials, to the queue first; `searcher` knows the proposal behind an id of Ray's."""

    def __init__(
        self, work: Work, tracker: Tracker, view: View, searcher: StudySearcher, share: Share
    ) -> None:
        self._work, self._study, self._share = work, work.queue, share
        self._tracker, self._view, self._searcher = tracker, view, searcher
        self._asked = time.monotonic()
        self.ended: set[int] = set()
        """Trials that have ended in this run."""
        self.live: set[int] = set()
        """Trials that have started and not ended."""
        self._actors: dict[int, str] = {}
        """Trial -> Ray's id of the actor that it runs in."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        proposal = self._proposal(trial)
        if proposal.number in self.ended:
            return  # its process was lost after it had reported its outcome: Ray starts it again, for nothing
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
            stop = self._work.decide_at_rung(number, reached)
            send_decision(self._work.trial_address(number), reached["epochs"], stop)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if is_disk_full(reason := _reason(trial)):
            raise OSError(reason)  # not the trial's fault: the whole sweep stops
        self.fail(self._proposal(trial).number, reason)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._view.refresh(self._tracker.trouble)
        if self.live or self.ended or not self._searcher.proposals:
            self._asked = time.monotonic()
        elif time.monotonic() - self._asked > WAITS:
            self._asked = time.monotonic() + 4 * WAITS  # said again, but rarely
            if shortage := lacking(self._share):
                self._view.waiting(shortage)

    def lost(self, actors: frozenset[str]) -> set[int]:
        """The trials that ran in these actors; all that ran where none of them did."""
        return {number for number in self.live if self._actors.get(number) in actors} or set(self.live)

    def fail(self, number: int, reason: str) -> None:
        """Give a trial up, whose process is gone: its result is left here, in its place, and what it could not report any
        more is passed on."""
        outcome = Outcome("failed", reason=reason)
        if number not in self.ended and (history := write_failure(self._work.trial_address(number), outcome)):
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


class StudySearcher(Searcher):
    """Asks a queue until it has `target` trials, one at a time and only when one can start: a proposal knows all results so far.

    Args:
        concurrent: trials at a time.
        task: what a trial is told.
        beside: ask in a thread, so that a slow sampler does not keep the driver from hearing its trials.
    """

    def __init__(
        self,
        study: Queue,
        *,
        target: int,
        concurrent: int,
        task: Callable[[Proposal], TrialTask],
        beside: bool = False,
    ) -> None:
        super().__init__()
        self._study, self._target, self._concurrent, self._task = (study, target, concurrent, task)
        self._unfinished = deque(study.unfinished())
        self.proposals: dict[str, Proposal] = {}
        """Ray's trial id -> what runs under it."""
        self._live: set[str] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampler") if beside else None
        self._asked: Future[Proposal] | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next trial's configuration, None to be asked again later, FINISHED when there are no more."""
        if len(self._live) >= self._concurrent:
            return None
        if self._unfinished:
            proposal: Proposal | None = self._unfinished.popleft()
        elif self._asked is not None or len(self._study) < self._target:
            proposal = self._ask()
        else:
            return Searcher.FINISHED
        if proposal is None:
            return None
        self._live.add(trial_id)
        self.proposals[trial_id] = proposal
        return {"number": proposal.number, "task": self._task(proposal).to_json()}

    def _ask(self) -> Proposal | None:
        """The study's next proposal; None while the sampler thinks."""
        if self._thread is None:
            return self._study.ask(self._target)
        if self._asked is None:
            self._asked = self._thread.submit(self._study.ask, self._target)
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        return asked.result()

    def close(self) -> None:
        """Wait for the sampler; what it proposes meanwhile is in the study, and the next driver runs it."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A place is free; what came of the trial is told to the study by `Recorder`."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state, and Ray's snapshots are never read again."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Silent(TrialProgressCallback):
    """Takes the place of the callback that Ray adds where there is none, which prints on stdout."""

    def log_result(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StopWhenAsked(Stopper):
    """Ends Ray Tune's run when the sweep shall stop; never a single trial."""

    def __init__(self, stop: Stop) -> None:
        self._stop: Stop | None = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._stop is not None and self._stop.asked

    def __getstate__(self) -> dict[str, Any]:
        return {"_stop": None}
