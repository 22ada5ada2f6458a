"""What a person sees of a sweep while it runs, apart from how it is drawn: which trials run, how far, the best so far.

board = Board(target=32, concurrent=4)
board.started(proposal); board.record(3, record); board.ended(3, outcome)
board.seconds_left()

A view that outlives its terminal: where nobody reads any more (`sweep 2>&1 | head`, a closed window), it falls silent.

view = Unbroken(choose_view(board))
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.sweeps.study.objectives import fronts, minimised, objective_values

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.study.study import Proposal
    from pcdarts_tune.tasks import Outcome


class View(Protocol):
    """Told what happens in a sweep; `tick` comes several times a second."""

    def started(self, proposal: Proposal) -> None: ...
    def restarted(self, number: int, reason: str) -> None: ...
    def record(self, number: int, record: dict[str, Any]) -> None: ...
    def ended(self, number: int, outcome: Outcome) -> None: ...
    def tick(self, trouble: str | None) -> None: ...
    def close(self) -> None: ...


@dataclass
class Running:
    """A trial that runs: its stage, and epochs done of those of the stage; `first`: when it first said how
    far it was, and how far that was (starting a process takes a while)."""

    proposal: Proposal
    begun: float
    first: tuple[float, float] | None = None
    stage: str = "starting"
    done: int = 0
    epochs: int = 0
    accuracy: float | None = None

    def share(self, stages: dict[str, int]) -> float:
        """How much of the trial is done, 0 to 1, each epoch counted alike."""
        total = sum(stages.values())
        before = stages["search"] if self.stage == "evaluation" else 0
        return (before + self.done) / total if total and self.stage in stages else 0.0


@dataclass
class Board:
    """The state of a sweep as it is shown.

    Attributes:
        target: trials the sweep shall have. `ended_before`: how many of them had ended when this process began.
        stages: epochs of each stage.
        best: (trial, accuracy).
        objectives: of the sweep. `front`: with several, the values (low is good) of the trials on the Pareto front.
    """

    target: int
    concurrent: int
    stages: dict[str, int]
    ended_before: int = 0
    best: tuple[int, float] | None = None
    objectives: tuple[str, ...] = ("accuracy",)
    front: list[tuple[float, ...]] = field(default_factory=list)
    running: dict[int, Running] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def ended_now(self) -> int:
        """Trials that ended since this process began."""
        return sum(self.counts.values())

    def started(self, proposal: Proposal) -> None:
        self.running[proposal.number] = Running(proposal, time.monotonic())

    def record(self, number: int, record: dict[str, Any]) -> None:
        trial = self.running.get(number)
        if trial is None:
            return
        if record["kind"] == "history":
            for entry in record["records"]:
                self.record(number, entry)
        elif record["kind"] == "epoch":
            trial.stage, trial.done, trial.epochs = (record["stage"], record["epoch"] + 1, record["epochs"])
            trial.accuracy = record.get("accuracy")
            if trial.first is None:
                trial.first = (time.monotonic(), trial.share(self.stages))

    def ended(self, number: int, outcome: Outcome) -> None:
        trial = self.running.pop(number, None)
        self.counts[outcome.state] = self.counts.get(outcome.state, 0) + 1
        if trial is not None:
            self.seconds.append(time.monotonic() - trial.begun)
        if outcome.objective is not None and (self.best is None or outcome.objective > self.best[1]):
            self.best = (number, outcome.objective)
        if outcome.state == "complete" and len(self.objectives) > 1:
            self.join(objective_values(self.objectives, outcome))

    def join(self, values: dict[str, float]) -> None:
        """See whether a trial with these objectives is on the front, and who leaves it."""
        points = [*self.front, minimised(self.objectives, values)]
        self.front = [point for point, number in zip(points, fronts(points), strict=True) if number == 0]

    def seconds_left(self) -> float | None:
        """Until the last trial has ended, at the pace so far; None while nothing is known."""
        if self.seconds:
            of_one = sum(self.seconds) / len(self.seconds)
        else:
            paces = [self._pace(trial) for trial in self.running.values()]
            if not any(paces):
                return None
            of_one = 1 / max(paces)
        to_start = max(0, self.target - self.ended_before - self.ended_now - len(self.running))
        under_way = sum(1 - trial.share(self.stages) for trial in self.running.values())
        return of_one * (to_start + under_way) / max(1, self.concurrent)

    def _pace(self, trial: Running) -> float:
        """Share of the trial done a second, 0 while it is not known."""
        if trial.first is None:
            return 0.0
        seconds, share = time.monotonic() - trial.first[0], trial.share(self.stages) - trial.first[1]
        return share / seconds if share > 0 and seconds > 0 else 0.0


class Unbroken:
    """Passes on to `view` until that raises an OSError: what cannot be shown ends no trial."""

    def __init__(self, view: View) -> None:
        self._view: View | None = view

    def started(self, proposal: Proposal) -> None:
        self._show(lambda view: view.started(proposal))

    def restarted(self, number: int, reason: str) -> None:
        self._show(lambda view: view.restarted(number, reason))

    def record(self, number: int, record: dict[str, Any]) -> None:
        self._show(lambda view: view.record(number, record))

    def ended(self, number: int, outcome: Outcome) -> None:
        self._show(lambda view: view.ended(number, outcome))

    def tick(self, trouble: str | None) -> None:
        self._show(lambda view: view.tick(trouble))

    def close(self) -> None:
        self._show(lambda view: view.close())

    def _show(self, what: Callable[[View], None]) -> None:
        if self._view is not None:
            try:
                what(self._view)
            except OSError:
                self._view = None
