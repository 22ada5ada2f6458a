"""Ray Tune's searcher over the study: it hands out the trials that are to run, and keeps nothing of its own.

Trials that an earlier driver left unfinished come first, under their own numbers; then the study is asked,
one trial at a time and only when one can start, so that a proposal knows as many results as it can.

A sampler that may think for seconds does so in a thread of its own: the driver goes on hearing its trials meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ray.tune.search import Searcher

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.study.study import SweepStudy
    from pcdarts_tune.tasks import Proposal, TrialTask


class StudySearcher(Searcher):
    """Asks a study until it has `target` trials.

    Args:
        concurrent: trials at a time.
        task: what a trial is told.
        beside: ask in a thread; the study must bear it (Optuna's relational storage does).
    """

    def __init__(
        self,
        study: SweepStudy,
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
        """A place is free; what came of the trial is told to the study by the driver's callback (recorder.py)."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state, and Ray's snapshots are never read again."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
