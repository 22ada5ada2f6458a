"""An MLflow run of one search or training in this process: found again when the work goes on, fed epoch by epoch.

run = EpochRun.open(tracked, {Tag.RETRAINING: recipe}, tags, device=device, metric="retrain/loss_train")
run.epoch(0, {"retrain/loss_train": 1.2})
run.flush(); store.close_run(run.run_id, "FINISHED")

Epochs wait in an outbox: a store that is away for a while stops no training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where, artifact_root
from pcdarts_tune.say import say
from pcdarts_tune.tracking.outbox import Outbox, is_defect, told
from pcdarts_tune.tracking.scope import answering_at_once
from pcdarts_tune.tracking.store import MlflowStore
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
        """In the store that was named, or the home's own; the home is made.

        Raises:
            UserError: for an address that names no store.
        """
        store = MlflowStore(where.mlflow_uri, artifact_root(where.home))
        where.home.mkdir(parents=True, exist_ok=True)
        return cls(store, experiment, name, tags or {})


class EpochRun:
    """A run that takes epochs.

    Args:
        metric: one that every epoch has; which steps of it are known says which epochs are.
    """

    def __init__(self, store: MlflowStore, run_id: str, metric: str) -> None:
        self.store, self.run_id, self._metric = store, run_id, metric
        self.new = False
        self._outbox = Outbox()
        self._known: set[int] = set()
        self._execution: Mapping[str, str] = {}

    @classmethod
    def open(
        cls,
        tracked: Tracked,
        identity: Mapping[str, str],
        tags: Mapping[str, str],
        *,
        device: torch.device,
        metric: str,
    ) -> EpochRun:
        """The run it began in where it goes on, else a new one."""
        from pcdarts_tune.tracking.provenance import machine

        store = tracked.store
        run_id, new = store.open_run(
            tracked.experiment,
            tracked.identity or identity,
            name=tracked.name,
            tags={**tags, **tracked.tags},
            parent=tracked.parent,
        )
        store.set_tags(run_id, machine(device))
        run = cls(store, run_id, metric)
        run.new = new
        if not new:
            run.recall()
        return run

    def recall(self) -> None:
        """Look which epochs the run has."""
        self._known = self.store.steps(self.run_id, self._metric)

    def beside(self, metric: str) -> EpochRun:
        """The same run for another stage, whose epochs are counted by a metric of their own."""
        other = EpochRun(self.store, self.run_id, metric)
        other._known = set() if self.new else self.store.steps(self.run_id, metric)
        return other

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch; one that is known from before is skipped, because MLflow would keep it twice."""
        if step not in self._known:
            self._known.add(step)
            self._outbox.put(self._delivery(step, dict(metrics)))

    def epochs(self, series: Iterable[Mapping[str, float]]) -> None:
        """Log epochs from the first on: those of a training that goes on."""
        for step, metrics in enumerate(series):
            self.epoch(step, metrics)

    def executed(self, came_of: Mapping[str, str]) -> None:
        """Tag the run with how its steps are executed, which is known once some were."""
        if came_of != self._execution:
            self._execution = came_of
            self._outbox.put(lambda: self.store.set_tags(self.run_id, execution_tags(came_of)))

    def _delivery(self, step: int, metrics: dict[str, float]) -> Callable[[], None]:
        # the same moment each time: of two points that are alike MLflow keeps one
        tried, at = False, int(time.time() * 1000)

        def deliver() -> None:
            nonlocal tried
            with answering_at_once():
                # an attempt that failed may have arrived all the same
                if tried and step in self.store.steps(self.run_id, self._metric):
                    return
                tried = True
                self.store.log_epoch(self.run_id, metrics, step, at=at)

        return deliver

    def flush(self) -> None:
        """Wait until the epochs are delivered.

        Raises:
            Undelivered: the store does not take them.
        """

        def waiting(left: int) -> None:
            say(f"MLflow: {left} records are still to be delivered")

        if left := self._outbox.close(DELIVERED_WITHIN, waiting):
            raise _undelivered(f"{left} records", self._outbox.last_error)

    def fail(self, error: BaseException) -> None:
        """End the run as killed or failed; the error itself is what the caller has to tell."""
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        self._outbox.put(lambda: self.store.close_run(self.run_id, "KILLED" if interrupted else "FAILED"))
        if not interrupted:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            self._outbox.put(lambda: self.store.set_tags(self.run_id, {Tag.REASON: reason}))
        self._outbox.close(timeout=10)


class Undelivered(WorkFailed):
    """MLflow did not take all of a run; what was trained is kept."""


@contextmanager
def delivering() -> Iterator[None]:
    """Around the end of a run: a store that cannot be reached loses nothing.

    Raises:
        Undelivered: it could not be; the same command delivers the rest.
    """
    try:
        with answering_at_once():
            yield
    except UserError:
        raise
    except Exception as error:  # whatever a store may raise
        if is_defect(error):
            raise
        raise _undelivered("all of the run", told(error)) from error


def _undelivered(what: str, why: str | None) -> Undelivered:
    return Undelivered(
        f"MLflow did not take {what}: {why}",
        hint="nothing is lost: the same command, run again, trains nothing twice and delivers the rest",
    )


def common_tags(kind: str, space: Space, images: DataSet, seed: int) -> dict[str, str]:
    """What every run of a search or training says about itself."""
    from pcdarts_tune.tracking.provenance import git_revision, versions

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
