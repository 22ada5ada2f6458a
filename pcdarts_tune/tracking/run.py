"""One run in MLflow: begun or found again, fed with epochs, ended.

    with EpochRun.open(tracked, {Tag.SEARCH: recipe}, tags, content, device) as run:
        run.record("search", 0, {"metrics": {"search/loss_train": 1.2}})
    run.end(run.store.close_run, run.run_id, "FINISHED")

`Run` writes at once, and looks what the run has before a number is logged, which MLflow would keep twice. `EpochRun` is
written by a thread of its own (outbox.py): a store that is away for a while stops no training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pcdarts_tune.addresses import masked_line
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where
from pcdarts_tune.say import say
from pcdarts_tune.tracking.outbox import Outbox, describe_error, is_defect
from pcdarts_tune.tracking.provenance import git_revision, machine, versions
from pcdarts_tune.tracking.reach import require_store
from pcdarts_tune.tracking.scope import answering_at_once
from pcdarts_tune.tracking.store import Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag, execution_tags

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space

DELIVERED_WITHIN = 120.0
"""Seconds that the end of a training waits for MLflow."""


@dataclass(frozen=True)
class Tracked:
    """Where a search or training is recorded.

    Attributes:
        experiment: the MLflow experiment's name.
        name: the run's.
        tags: over those that every run has.
        parent: the run it is nested under.
        identity: tags that find the run again; None where its recipe does.
    """

    store: MlflowStore
    experiment: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    identity: Mapping[str, str] | None = None

    @classmethod
    def at(cls, where: Where, experiment: str, name: str, tags: Mapping[str, str] | None = None) -> Tracked:
        """In the store that was named, or the home's own, which takes what is written; the home is made.

        Raises:
            UserError: for an address that names no store, and for a store that refuses.
            WorkFailed: it is locked, or its disk is full.
        """
        store = MlflowStore.of(where)
        require_store(store, experiment)
        where.home.mkdir(parents=True, exist_ok=True)
        return cls(store, experiment, name, tags or {})


class Run:
    """A run that is written to at once; every method can be called again after it raised. `fresh`: nothing was logged to
    it before."""

    def __init__(self, store: MlflowStore, run_id: str, *, fresh: bool = False) -> None:
        self.store, self.run_id, self._fresh = store, run_id, fresh
        self._steps: dict[str, set[int]] = {}
        self._tags: dict[str, str] = {}

    def steps(self, metric: str) -> set[int]:
        """The steps that the run has of a metric."""
        if metric not in self._steps:
            self._steps[metric] = set() if self._fresh else self.store.steps(self.run_id, metric)
        return self._steps[metric]

    def log(self, metrics: Mapping[str, float], step: int, *, mark: str, at: int | None = None) -> None:
        """Log numbers, unless the run has them.

        Args:
            mark: one of the metrics; the numbers are there where it has this step.
            at: when, in milliseconds since 1970; None for now.
        """
        if step not in self.steps(mark):
            self.store.log_epoch(self.run_id, metrics, step, at=at)
            self._steps[mark].add(step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set those tags that were not set to the same before."""
        if new := {tag: value for tag, value in tags.items() if self._tags.get(tag) != value}:
            self.store.set_tags(self.run_id, new)
            self._tags |= new

    def doubt(self) -> None:
        """Something was perhaps written without an answer: look what the run has before the next number."""
        self._fresh = False
        self._steps.clear()

    def fail(self, error: BaseException) -> None:
        """End the run as killed or failed; the error itself is what the caller has to tell."""
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        self.store.close_run(self.run_id, "KILLED" if interrupted else "FAILED")
        if not interrupted:
            self.store.set_tags(self.run_id, {Tag.REASON: masked_line(error, 500)})


class EpochRun:
    """A run of one search or training in this process, written by a thread of its own, in order."""

    def __init__(self, run: Run) -> None:
        self.run, self.store, self.run_id = run, run.store, run.run_id
        self._outbox = Outbox(lambda error: run.doubt())

    @classmethod
    def open(
        cls,
        tracked: Tracked,
        identity: Mapping[str, str],
        tags: Mapping[str, str],
        content: Callable[[], Content] | None,
        device: torch.device,
    ) -> EpochRun:
        """The run that the work began in where it goes on, else a new one."""
        run_id, fresh = tracked.store.open_run(
            tracked.experiment,
            tracked.identity or identity,
            name=tracked.name,
            tags={**tags, **tracked.tags},
            parent=tracked.parent,
            content=content,
        )
        run = Run(tracked.store, run_id, fresh=fresh)
        run.set_tags(machine(device))
        return cls(run)

    def record(self, stage: str, step: int, record: Mapping[str, Any]) -> None:
        """Log an epoch of a stage, unless it is known from before, and how and on which machine it was computed where its
        record says so."""
        at = int(time.time() * 1000)
        self.put(lambda: self.run.log(record["metrics"], step, mark=f"{stage}/loss_train", at=at))
        tags = execution_tags(record["execution"]) if "execution" in record else {}
        self.put(self.run.set_tags, {**tags, **record.get("machine", {})})

    def put(self, write: Callable[..., None], *args: Any) -> None:
        """Have `write` called with these arguments, after what was put in before."""
        self._outbox.put(partial(write, *args))

    def end(self, write: Callable[..., None], *args: Any) -> None:
        """Have what came of the work written, and wait until everything is delivered.

        Raises:
            Undelivered: the store does not take it; what was trained is kept.
        """

        def waiting(left: int) -> None:
            say(f"MLflow: {left} records are still to be delivered")

        self.put(write, *args)
        if left := self._outbox.close(DELIVERED_WITHIN, waiting):
            raise Undelivered(f"{left} records", self._outbox.last_error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Where the block raises, end the run as killed or failed, if the store answers."""
        if error is not None:
            self.put(self.run.fail, error)
            self._outbox.close(timeout=10)


class Undelivered(WorkFailed):
    """MLflow did not take all of a run; what was trained is kept."""

    def __init__(self, what: str, why: str | None) -> None:
        super().__init__(
            f"MLflow did not take {what}: {why}",
            hint="nothing is lost: the same command, run again, trains nothing twice and delivers the rest",
        )


@contextmanager
def delivering() -> Iterator[None]:
    """Around a look at a run that has to be right: a store that cannot be reached loses nothing.

    Raises:
        Undelivered: it cannot be reached; the same command delivers the rest.
    """
    try:
        with answering_at_once():
            yield
    except UserError:
        raise
    except Exception as error:  # whatever a store may raise
        if is_defect(error):
            raise
        raise Undelivered("all of the run", describe_error(error)) from error


def common_tags(kind: str, space: Space, images: DataSet, seed: int) -> dict[str, str]:
    """What every run of a search or training says about itself."""
    tags = {
        Tag.KIND: kind,
        Tag.SEED: str(seed),
        Tag.SPACE: space.name,
        Tag.DATA: images.digest,
        **{f"{Tag.VERSION}{name}": version for name, version in versions().items()},
    }
    if (revision := git_revision()) is not None:
        tags["mlflow.source.git.commit"] = revision
    return tags
