"""What a person sees of a sweep on stderr while it runs: a live table in a terminal, plain lines elsewhere, nothing with -q.

    view = View(Progress(target=32, concurrent=4, stages={"search": 25, "evaluation": 25}), Screen(live=sys.stderr.isatty()))
    view.trial_started(proposal); view.trial_reported(3, record); view.trial_ended(3, outcome); view.close()

Where nobody reads any more (`sweep 2>&1 | head`, a closed window) the view falls silent: what cannot be shown ends no trial.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pcdarts_tune.say import format_seconds
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.scores import score_title
from pcdarts_tune.sweeps.study.objectives import fronts, minimised, objective_values
from pcdarts_tune.sweeps.trials.repeats import describe_repeats
from pcdarts_tune.tasks import Outcome, Proposal
from pcdarts_tune.training.scoring import describe_majority

REFRESH = 0.25
"""The live table is drawn again after so many seconds."""
LINE_EVERY = 5.0
"""A plain line on one trial's epochs comes at most every so many seconds."""


@dataclass
class Running:
    """A trial that runs: its stage, and how many of the stage's epochs are done. `first`: when it first reported an epoch, and
    what share of it was done then (starting a process takes a while)."""

    proposal: Proposal
    begun: float = field(default_factory=time.monotonic)
    first: tuple[float, float] | None = None
    stage: str = "starting"
    done: int = 0
    epochs: int = 0
    repeat: int = 1
    repeats: int = 1
    accuracy: float | None = None

    def share(self, stages: dict[str, int]) -> float:
        """How much of the trial is done, 0 to 1, each epoch counted alike."""
        total = sum(stages.values())
        before = stages["search"] if self.stage == "evaluation" else 0
        share = (before + self.done) / total if total and self.stage in stages else 0.0
        return (self.repeat - 1 + share) / self.repeats

    @property
    def what(self) -> str:
        """The stage, and of which search where there are several."""
        return self.stage if self.repeats == 1 else f"{self.stage} (seed {self.repeat} of {self.repeats})"

    def pace(self, stages: dict[str, int]) -> float:
        """Share of the trial done in a second, 0 while it is not known."""
        if self.first is None:
            return 0.0
        seconds, share = time.monotonic() - self.first[0], self.share(stages) - self.first[1]
        return share / seconds if share > 0 and seconds > 0 else 0.0


@dataclass
class Progress:
    """How far a sweep is.

    Attributes:
        target: trials the sweep shall have. `ended_before`: how many of them had ended when this process began.
        stages: epochs of each stage.
        best: (trial, accuracy).
        objectives: of the sweep. `score`: what `accuracy` stands for among them.
        front: with several objectives, the values (low is good) of the trials on the Pareto front.
        counts: trials that ended since this process began, by state. `seconds`: how long each of them took.
        repeats: searches of a trial.
    """

    target: int
    concurrent: int
    stages: dict[str, int]
    ended_before: int = 0
    best: tuple[int, float] | None = None
    objectives: tuple[str, ...] = ("accuracy",)
    score: str = "accuracy"
    front: list[tuple[float, ...]] = field(default_factory=list)
    running: dict[int, Running] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    repeats: int = 1

    @property
    def ended(self) -> int:
        """Trials that have ended."""
        return self.ended_before + self.counts.total()

    def add_record(self, number: int, record: dict[str, Any]) -> None:
        """Take over what a trial reported."""
        trial = self.running.get(number)
        if trial is None:
            return
        if record["kind"] == "history":
            for entry in record["records"]:
                self.add_record(number, entry)
        elif record["kind"] == "epoch":
            trial.stage, trial.done, trial.epochs = record["stage"], record["epoch"] + 1, record["epochs"]
            trial.repeat = record.get("repeat", 1)
            trial.accuracy = record.get("accuracy")
            if trial.first is None:
                trial.first = (time.monotonic(), trial.share(self.stages))

    def end(self, number: int, outcome: Outcome) -> None:
        """Count a trial that ended."""
        trial = self.running.pop(number, None)
        self.counts[outcome.state] += 1
        if trial is not None:
            self.seconds.append(time.monotonic() - trial.begun)
        if outcome.objective is not None and (self.best is None or outcome.objective > self.best[1]):
            self.best = (number, outcome.objective)
        if outcome.state == "complete":
            self.add_to_front(objective_values(self.objectives, outcome))

    def add_to_front(self, values: dict[str, float]) -> None:
        """See whether a complete trial with these objectives is on the front, and who leaves it."""
        if len(self.objectives) > 1:
            points = [*self.front, minimised(self.objectives, values)]
            self.front = [point for point, rank in zip(points, fronts(points), strict=True) if rank == 0]

    def seconds_left(self) -> float | None:
        """Until the last trial has ended, at the pace so far; None while nothing is known."""
        if self.seconds:
            of_one = sum(self.seconds) / len(self.seconds)
        elif pace := max((trial.pace(self.stages) for trial in self.running.values()), default=0.0):
            of_one = 1 / pace
        else:
            return None
        to_start = max(0, self.target - self.ended - len(self.running))
        under_way = sum(1 - trial.share(self.stages) for trial in self.running.values())
        return of_one * (to_start + under_way) / max(1, self.concurrent)


class Screen:
    """Where lines go: plain lines, or printed above a table of the trials that run, which is redrawn in place."""

    def __init__(self, *, live: bool) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if live else None
        self._drawn = 0.0
        self._trouble: str | None = None
        if self._live is not None:
            self._live.start()

    @property
    def live(self) -> bool:
        """Whether there is a table."""
        return self._live is not None

    def line(self, text: str, *, detail: bool = False) -> None:
        """A line; `detail`: one that the table makes superfluous."""
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        elif not detail:
            self._console.print(text, highlight=False, markup=False)

    def refresh(self, progress: Progress, trouble: str | None) -> None:
        """Draw the table where its time has come, or say that deliveries to MLflow stop or go on."""
        if self._live is None:
            if trouble != self._trouble:
                self._trouble = trouble
                text = f"{trouble}; records wait" if trouble else "records are delivered again"
                self.line(f"MLflow: {text}")
        elif time.monotonic() - self._drawn >= REFRESH:
            self._drawn = time.monotonic()
            self._live.update(_table(progress, trouble), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()


class View:
    """Shows what happens in a sweep on a screen, or nowhere."""

    def __init__(self, progress: Progress, screen: Screen | None) -> None:
        self.progress, self._screen = progress, screen
        self._last_line: dict[int, float] = {}

    def trial_started(self, proposal: Proposal) -> None:
        """A trial starts."""
        self.progress.running[proposal.number] = Running(proposal, repeats=self.progress.repeats)
        settings = naming.format_settings(proposal.hyperparameters)
        self._line(f"trial {proposal.number}: starts  {settings}", detail=True)

    def waiting(self, what: str) -> None:
        """No trial can start."""
        self._line(f"waiting: {what}")

    def trial_restarted(self, number: int, reason: str) -> None:
        """A trial starts again."""
        self._line(f"trial {number}: starts again, {reason}")

    def trial_reported(self, number: int, record: dict[str, Any]) -> None:
        """A trial reported a record (see trials/trial.py)."""
        self.progress.add_record(number, record)
        if record["kind"] == "history":
            self._line(f"trial {number}: goes on from its checkpoint", detail=True)
        trial = self.progress.running.get(number)
        if record["kind"] != "epoch" or trial is None:
            return
        if trial.done == trial.epochs or time.monotonic() - self._last_line.get(number, 0.0) >= LINE_EVERY:
            self._last_line[number] = time.monotonic()
            accuracy = f"  accuracy {trial.accuracy:.3f}" if trial.accuracy is not None else ""
            text = f"trial {number}: {trial.what} {trial.done}/{trial.epochs}{accuracy}{self._left()}"
            self._line(text, detail=True)

    def trial_ended(self, number: int, outcome: Outcome) -> None:
        """A trial ended."""
        trial = self.progress.running.get(number)
        self.progress.end(number, outcome)
        text = f"trial {number}: {_describe_outcome(outcome, self.progress)}"
        if self._screen is not None and self._screen.live:
            text += f"  {naming.format_settings(trial.proposal.hyperparameters) if trial else ''}"
        else:
            text += f"  [{self.progress.ended}/{self.progress.target}]{self._left()}"
        self._line(text)

    def refresh(self, trouble: str | None) -> None:
        """Comes several times a second. `trouble`: what MLflow answered, while records wait for it."""
        self._try(lambda screen: screen.refresh(self.progress, trouble))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._try(lambda screen: screen.close())

    def _left(self) -> str:
        seconds = self.progress.seconds_left()
        return f"  ({format_seconds(seconds)} left)" if seconds else ""

    def _line(self, text: str, *, detail: bool = False) -> None:
        self._try(lambda screen: screen.line(text, detail=detail))

    def _try(self, show: Callable[[Screen], None]) -> None:
        if self._screen is not None:
            try:
                show(self._screen)
            except OSError:
                self._screen = None


def _table(progress: Progress, trouble: str | None) -> Group:
    left = progress.seconds_left()
    head = [f"{progress.ended}/{progress.target} trials"]
    head += [f"{count} {s}" for s in ("pruned", "failed") if (count := progress.counts[s])]
    head += (
        [f"best {score_title(progress.score)} {progress.best[1]:.4f} (trial {progress.best[0]})"]
        if progress.best
        else []
    )
    head += [f"Pareto front of {len(progress.front)}"] if progress.front else []
    head += [] if left is None else [f"{format_seconds(left)} left"]
    table = Table(box=None, show_header=False, pad_edge=False)
    for number, trial in sorted(progress.running.items()):
        accuracy = "" if trial.accuracy is None else f"{trial.accuracy:.3f}"
        epochs = f"{trial.done}/{trial.epochs}" if trial.epochs else ""
        bar = ProgressBar(total=1.0, completed=trial.share(progress.stages), width=20)
        settings = naming.format_settings(trial.proposal.hyperparameters)
        table.add_row(f"trial {number}", bar, trial.what, epochs, accuracy, Text(settings, style="dim"))
    lines: list[Any] = [Text("   ".join(head), style="bold"), table]
    if trouble:
        lines.append(Text(f"MLflow: {trouble}; records wait", style="yellow"))
    return Group(*lines)


def _describe_outcome(outcome: Outcome, progress: Progress) -> str:
    if outcome.objective is None:
        return f"{outcome.state}: {outcome.reason}"
    spent = f" in {format_seconds(outcome.seconds)}" if outcome.seconds else ""
    source = "" if outcome.evaluation_from is None else f", evaluated by trial {outcome.evaluation_from}"
    sizes = {
        "params": f"{naming.short_count(outcome.params)} parameters",
        "macs": f"{naming.short_count(outcome.macs)} MACs",
        "latency": f"{outcome.latency or 0:.3g} ms",
    }
    others = "".join(f", {sizes[name]}" for name in progress.objectives if name != "accuracy")
    error = "" if outcome.standard_error is None else f" ± {outcome.standard_error:.4f}"
    if (majority := describe_majority(outcome.held_out)) is not None:
        error += f", {majority}"
    score = f"{score_title(progress.score)} {outcome.objective:.4f}{error}{describe_repeats(outcome)}"
    return f"{score}{others}{spent}{source}"
