"""What is said to a person: tables on stdout; on stderr lines, and the progress of long work: a bar with the time left on a
terminal, plain lines when it is not one.

with Progress("retraining", total=600, start=120) as progress: progress.update(121, "accuracy 0.953")
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING

import click

from pcdarts_tune.errors import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Progress:
    """Shows how far one piece of work is.

    Args:
        label: what is being done.
        total: number of steps (epochs).
        start: steps that were done before, by a run that was interrupted; the time left does not count them.
        quiet: show nothing.
        every: seconds between two plain lines, at least; the last one always comes.
    """

    def __init__(
        self, label: str, total: int, *, start: int = 0, quiet: bool = False, every: float = 0.0
    ) -> None:
        self.label, self.total, self.start, self.quiet, self.every = label, total, start, quiet, every
        self._last_line = -math.inf
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._begun = time.monotonic()

    def __enter__(self) -> Progress:
        self._begun = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            self._open_bar()
        elif not self.quiet and self.start:
            self._line(f"{self.label}: goes on after epoch {self.start} of {self.total}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` steps of the total are done; `note` stands behind them."""
        if self._bar is not None and self._task is not None:
            left = f"{format_seconds(self.seconds_left(done))} left"
            self._bar.update(self._task, completed=done, note=f"{left}  {note}")
        elif not self.quiet and (done >= self.total or time.monotonic() - self._last_line >= self.every):
            self._last_line = time.monotonic()
            left = "" if done >= self.total else f", {format_seconds(self.seconds_left(done))} left"
            self._line(f"{self.label}: {done}/{self.total}{left}{', ' if note else ''}{note}")

    def seconds_left(self, done: int) -> float:
        """Seconds until the total at the pace so far."""
        return (time.monotonic() - self._begun) / max(1, done - self.start) * max(0, self.total - done)

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(self.label, total=self.total, completed=self.start, note="")
        self._bar.start()

    @staticmethod
    def _line(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int, wrap: bool = False
) -> None:
    """A table on stdout, `left` columns of words and then those of numbers; in a pipe nothing is cut off. With `wrap`, cells
    that are too long are broken into lines."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, title in enumerate(columns):
        table.add_column(title, justify="left" if at < left else "right", no_wrap=not wrap, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    # a cell may hold [brackets], which are no markup
    Console(width=width, markup=False, emoji=False).print(table, highlight=False)


def format_seconds(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


VERBOSITY = "pcdarts_tune.verbosity"
"""Key in click's `ctx.meta`: 1 and more with -v, -1 and less with -q."""


_hushed: ContextVar[bool] = ContextVar("hushed", default=False)


@contextmanager
def hushed(quiet: bool) -> Iterator[None]:
    """Where `quiet`, `say` says nothing within the block, and `verbosity` is that of -q; of this thread alone."""
    before = _hushed.set(quiet or _hushed.get())
    try:
        yield
    finally:
        _hushed.reset(before)


def verbosity() -> int:
    """0, more with -v, less with -q."""
    if _hushed.get():
        return -1
    ctx = click.get_current_context(silent=True)
    return 0 if ctx is None else int(ctx.meta.get(VERBOSITY, 0))


def say(message: str, *, always: bool = False) -> None:
    """A line for the person on stderr; nothing with -q, unless it is to be said `always`, as errors are."""
    if always or verbosity() >= 0:
        click.echo(visible(message), err=True)


def format_bytes(count: float) -> str:
    """`812 B`, `34 kB`, `53 MB`, `1.2 GB`: powers of 1000."""
    if abs(count) >= 1e9:
        return f"{count / 1e9:.1f} GB"
    if abs(count) >= 1e6:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e3:.0f} kB" if abs(count) >= 1e3 else f"{count:.0f} B"
