"""A sweep on the terminal: a live view where stderr is one, plain lines where it is not, nothing with -q.

view = choose_view(board, quiet=False)          # stderr; results go to stdout
view.close()
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from pcdarts_tune.say import format_seconds
from pcdarts_tune.spaces import naming
from pcdarts_tune.sweeps.view import Board, View

if TYPE_CHECKING:
    from rich.console import Group

    from pcdarts_tune.sweeps.study.study import Proposal
    from pcdarts_tune.tasks import Outcome

REFRESH = 0.25
"""Seconds between two pictures of the live view."""
SAY_EVERY = 5.0
"""Seconds between two plain lines on one trial's epochs."""


def choose_view(board: Board, *, quiet: bool = False) -> View:
    """The view that fits where stderr goes."""
    if quiet:
        return QuietView()
    return LiveView(board) if sys.stderr.isatty() else PlainView(board)


class QuietView:
    """Shows nothing."""

    def started(self, proposal: Proposal) -> None: ...
    def restarted(self, number: int, reason: str) -> None: ...
    def record(self, number: int, record: dict[str, Any]) -> None: ...
    def ended(self, number: int, outcome: Outcome) -> None: ...
    def tick(self, trouble: str | None) -> None: ...
    def close(self) -> None: ...


class PlainView:
    """A line for each thing that happens, epochs at most every few seconds."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._said: dict[int, float] = {}
        self._trouble: str | None = None

    def started(self, proposal: Proposal) -> None:
        self._board.started(proposal)
        self._line(f"{_trial(proposal.number)}: starts  {naming.settings(proposal.hyperparameters)}")

    def restarted(self, number: int, reason: str) -> None:
        self._line(f"{_trial(number)}: starts again, {reason}")

    def record(self, number: int, record: dict[str, Any]) -> None:
        self._board.record(number, record)
        if record["kind"] == "history":
            self._line(f"{_trial(number)}: goes on from its checkpoint")
        trial = self._board.running.get(number)
        if record["kind"] != "epoch" or trial is None:
            return
        last = trial.done == trial.epochs
        if last or time.monotonic() - self._said.get(number, 0.0) >= SAY_EVERY:
            self._said[number] = time.monotonic()
            accuracy = f"  accuracy {trial.accuracy:.3f}" if trial.accuracy is not None else ""
            self._line(f"{_trial(number)}: {trial.stage} {trial.done}/{trial.epochs}{accuracy}{self._left()}")

    def ended(self, number: int, outcome: Outcome) -> None:
        self._board.ended(number, outcome)
        done = self._board.ended_before + self._board.ended_now
        told = _outcome(outcome, self._board)
        self._line(f"{_trial(number)}: {told}  [{done}/{self._board.target}]{self._left()}")

    def tick(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._line(
                f"MLflow: {trouble}; records wait" if trouble else "MLflow: records are delivered again"
            )

    def close(self) -> None: ...

    def _left(self) -> str:
        seconds = self._board.seconds_left()
        return f"  ({format_seconds(seconds)} left)" if seconds else ""

    @staticmethod
    def _line(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class LiveView:
    """A table of the trials that run, redrawn in place; trials that end leave a line above it."""

    def __init__(self, board: Board) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board = board
        self._console = Console(stderr=True)
        self._trouble: str | None = None
        self._drawn = 0.0
        self._live = Live(self._picture(), console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def started(self, proposal: Proposal) -> None:
        self._board.started(proposal)

    def restarted(self, number: int, reason: str) -> None:
        self._console.print(f"{_trial(number)}: starts again, {reason}", highlight=False, markup=False)

    def record(self, number: int, record: dict[str, Any]) -> None:
        self._board.record(number, record)

    def ended(self, number: int, outcome: Outcome) -> None:
        trial = self._board.running.get(number)
        settings = naming.settings(trial.proposal.hyperparameters) if trial else ""
        self._board.ended(number, outcome)
        self._console.print(
            f"{_trial(number)}: {_outcome(outcome, self._board)}  {settings}", highlight=False, markup=False
        )

    def tick(self, trouble: str | None) -> None:
        self._trouble = trouble
        if time.monotonic() - self._drawn >= REFRESH:
            self._drawn = time.monotonic()
            self._live.update(self._picture(), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _picture(self) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        board = self._board
        done, left = board.ended_before + board.ended_now, board.seconds_left()
        best = "" if board.best is None else f"   best {board.best[1]:.4f} (trial {board.best[0]})"
        best += f"   Pareto front of {len(board.front)}" if len(board.objectives) > 1 and board.front else ""
        failed = "".join(
            f"   {board.counts[state]} {state}" for state in ("pruned", "failed") if board.counts.get(state)
        )
        time_left = "" if left is None else f"   {format_seconds(left)} left"
        lines: list[Any] = [Text(f"{done}/{board.target} trials{failed}{best}{time_left}", style="bold")]
        table = Table(box=None, show_header=False, pad_edge=False)
        for number in sorted(board.running):
            trial = board.running[number]
            accuracy = "" if trial.accuracy is None else f"{trial.accuracy:.3f}"
            epochs = f"{trial.done}/{trial.epochs}" if trial.epochs else ""
            bar = ProgressBar(total=1.0, completed=trial.share(board.stages), width=20)
            settings = naming.settings(trial.proposal.hyperparameters)
            table.add_row(f"trial {number}", bar, trial.stage, epochs, accuracy, Text(settings, style="dim"))
        lines.append(table)
        if self._trouble:
            lines.append(Text(f"MLflow: {self._trouble}; records wait", style="yellow"))
        return Group(*lines)


def _trial(number: int) -> str:
    return f"trial {number}"


def _outcome(outcome: Outcome, board: Board) -> str:
    if outcome.objective is None:
        return f"{outcome.state}: {outcome.reason}"
    spent = f" in {format_seconds(outcome.seconds)}" if outcome.seconds else ""
    source = "" if outcome.evaluation_from is None else f", evaluated by trial {outcome.evaluation_from}"
    sizes = {
        "params": f"{naming.short_count(outcome.params)} parameters",
        "macs": f"{naming.short_count(outcome.macs)} MACs",
        "latency": f"{outcome.latency or 0:.3g} ms",
    }
    others = "".join(f", {sizes[name]}" for name in board.objectives if name != "accuracy")
    return f"accuracy {outcome.objective:.4f}{others}{spent}{source}"
