"""What Ray Tune can be given to run: trials that are asked for one by one, each told what it computes. A sweep is such work
(`SweepWork` in runner.py), a calibration is another (calibration/work.py).

    run_work(work, RunSettings(), stop, tracker, data=images, function=None)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.cluster.resources import Share
from pcdarts_tune.tasks import Outcome, Proposal, TrialTask

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.view import View


class Queue(Protocol):
    """Which trials there are to run, and how each ended: for a sweep its `SweepStudy`."""

    def __len__(self) -> int:
        """How many trials were proposed so far."""

    def unfinished(self) -> list[Proposal]:
        """Trials that were proposed and have not ended: they are run first."""

    def ask(self, target: int) -> Proposal:
        """Propose the next trial of `target`."""

    def start(self, number: int) -> None:
        """Note that a trial runs now."""

    def tell(self, number: int, outcome: Outcome) -> bool:
        """Keep how a trial ended; False when that was known already."""

    def note(self, key: str, value: Any) -> None:
        """Keep a value beside the trials."""

    def notes(self) -> dict[str, Any]:
        """All that was noted."""


class Work(Protocol):
    """Trials, where they are kept, and what they are told.

    Attributes:
        identity: marks the processes that run it.
        target: how many trials it shall have.
        max_failures: how often a trial whose process was lost is started again.
        ray: the folder for Ray's own files.
        asks_beside: whether `queue.ask` may take long, and is called in a thread.
    """

    @property
    def identity(self) -> str: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def target(self) -> int: ...
    @property
    def max_failures(self) -> int: ...
    @property
    def ray(self) -> Path: ...
    @property
    def asks_beside(self) -> bool: ...

    def task(self, proposal: Proposal, share: Share) -> TrialTask:
        """What a trial is told."""

    def trial_address(self, number: int) -> str:
        """Where a trial leaves its files: a path or a URL."""

    def decide_at_rung(self, number: int, reached: dict[str, Any]) -> str | None:
        """Why a trial ends at the rung that it reports; None when it goes on."""

    def view(self, share: Share, *, quiet: bool) -> View:
        """What a person sees while it runs."""


class Tracker(Protocol):
    """Who is told what happens to trials, beside the queue; see `SweepTracker`."""

    @property
    def trouble(self) -> str | None: ...
    def trial(self, proposal: Proposal) -> None: ...
    def record(self, number: int, record: dict[str, Any]) -> None: ...
    def ended(self, number: int, outcome: Outcome) -> None: ...


def count_left(queue: Queue, target: int) -> int:
    """How many trials are to be run: those proposed that have not ended, and those not yet asked for."""
    return len(queue.unfinished()) + max(0, target - len(queue))
