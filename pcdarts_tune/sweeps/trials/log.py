"""What a trial leaves: a checkpoint with all records after every epoch, its result when it has ended, and the accuracy of its
genotype, for other trials that find the same one.

    with TrialLog(task.folder, report) as log:      # an earlier start's records are there, and reported first
        log.add({"kind": "epoch", ...}, search.state_dict)
        log.finish(outcome)                         # result.json and genotype.json stay, the checkpoint goes
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from pcdarts_tune import plugins
from pcdarts_tune.core.genotype import AnyGenotype
from pcdarts_tune.places import Place, place_at
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import Outcome, Report, TrialTask
from pcdarts_tune.training.journal import CheckpointStorage, Journal

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"


class TrialLog:
    """A trial's records: kept in its checkpoint first, then reported, so that none is lost between the two. Both go on
    beside the training; only at a rung it waits for the answer.

    A checkpoint that cannot be read is left: a trial that begins again comes to the same result.

    Args:
        address: a path or a URL (see places.py).
        report: takes the records; None reports nothing.

    Attributes:
        part: state of the search before the genotype is derived, of the evaluation after; None between the two.
        outcome: once ended.
        stop: why the trial ends at the rung it has reached.
    """

    def __init__(self, address: str | Path, report: Report | None = None) -> None:
        self._place, self._report = place_at(address), report
        self.part: dict[str, Any] | None = None
        self.outcome: Outcome | None = None
        self.stop: str | None = None
        self._begun = time.monotonic()
        self._journal = self._empty_journal()
        if (result := read_result(address)) is not None:
            self._journal.records, self.outcome = result["history"], Outcome(**result["outcome"])
        else:
            self._restore()
        self._reported = len(self.history)
        if self.history and report is not None:
            self.stop = report({"kind": "history", "records": list(self.history)})

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records so far, oldest first, those of an interrupted start too."""
        return self._journal.records

    @property
    def current(self) -> list[dict[str, Any]]:
        """The records of the search that goes on and its evaluation, of a trial that searches several times."""
        ends = [at for at, record in enumerate(self.history, 1) if record["kind"] == "repeat"]
        return self.history[ends[-1] :] if ends else self.history

    def add(self, record: dict[str, Any], part: Callable[[], dict[str, Any]] | None = None) -> None:
        """Keep and report a record.

        Args:
            part: gives the state of what is going on.

        Raises:
            OSError: an earlier record could not be kept.
        """
        self.history.append(record)
        seconds = self.seconds()
        self._journal.save(
            lambda: {"part": None if part is None else part(), "seconds": seconds}, self._report_until
        )
        if "rung" in record:
            self.flush()

    def flush(self) -> None:
        """Wait until everything is kept and reported, and raise what went wrong."""
        self._journal.flush()

    def finish(self, outcome: Outcome) -> None:
        """Write the result; the checkpoint is not needed any more."""
        self.flush()
        if outcome.genotype is not None:
            self._place.write("genotype.json", _json(outcome.genotype))
        self._place.write("result.json", _json({"outcome": outcome.to_dict(), "history": self.history}))
        self._place.delete(CHECKPOINT)
        self._place.tidy()

    def seconds(self) -> float:
        """Time spent on this trial, earlier starts included."""
        return time.monotonic() - self._begun

    def last(self, stage: str) -> dict[str, float]:
        """The metrics of the last epoch of a stage."""
        of_stage = [record["metrics"] for record in self.current if record.get("stage") == stage]
        return dict(of_stage[-1]) if of_stage else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
        else:
            with suppress(BaseException):  # what went wrong first counts
                self.flush()

    def _empty_journal(self) -> Journal:
        place = self._place
        return Journal(
            CheckpointStorage(
                str(place.address), lambda: place.read(CHECKPOINT), lambda data: place.write(CHECKPOINT, data)
            )
        )

    def _restore(self) -> None:
        try:
            if (saved := self._journal.restore()) is not None:
                self.part, self._begun = saved["part"], self._begun - saved["seconds"]
        except (ValueError, LookupError, TypeError) as error:
            logger.warning("the checkpoint in %s is left: %s", self._place.address, error)
            self._journal, self.part = self._empty_journal(), None

    def _report_until(self, count: int) -> None:
        """Report the records that the checkpoint now holds."""
        for record in self.history[self._reported : count]:
            self.stop = None if self._report is None else self._report(record)
            self._reported += 1


def write_failure(address: str | Path, outcome: Outcome) -> list[dict[str, Any]]:
    """Write the result of a trial that failed, with what it reported before; a result that is there already stays.

    Never raises: why the trial failed counts for more than what it leaves.

    Returns:
        What it reported.
    """
    try:
        left = TrialLog(address)
        if left.outcome is None:
            left.finish(outcome)
        return left.history
    except Exception:  # such as a full disk, or a storage that does not answer
        logger.debug("no result was left in %s", address, exc_info=True)
        return []


def read_result(address: str | Path) -> dict[str, Any] | None:
    """`{"outcome": …, "history": […]}` of a trial that ended, else None."""
    data = place_at(address).read("result.json")
    if data is None:
        return None
    try:
        result: dict[str, Any] = json.loads(data)
        Outcome(**result["outcome"])
        if isinstance(result["history"], list):
            return result
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    logger.warning("the result in %s is left: it is not what a trial writes", address)
    return None


def _json(value: Any) -> list[bytes]:
    return [json.dumps(value, indent=1).encode(), b"\n"]


@dataclass(frozen=True)
class _Evaluated:
    trial: int
    metrics: dict[str, Any]
    objective: FiniteFloat


@dataclass(frozen=True)
class _Stopped:
    trial: int
    metrics: dict[str, Any]
    stopped: str


@cache
def _entries() -> TypeAdapter[_Evaluated | _Stopped]:
    """What an entry of the cache may be; made once, since a calibration reads thousands."""
    return TypeAdapter(_Evaluated | _Stopped)


@dataclass(frozen=True)
class EvaluationCache:
    """The place of one genotype's evaluation: a file for each (canonical genotype, evaluation recipe, data set, split, seed,
    precision, objective), written whole, so that trials on all nodes share them. All evaluations of a sweep use the same seeds:
    which trial came first makes no difference."""

    place: Place
    name: str

    @classmethod
    def of(cls, task: TrialTask, space: Space, genotype: AnyGenotype, data_digest: str) -> EvaluationCache:
        """Where the evaluation of `genotype` under the space's recipe lies, whether it was done or not."""
        key = {
            "genotype": genotype.canonical_hash(),
            "evaluation": identity(space.evaluation),
            "data": identity(space.data),
            "images": data_digest,
            "seed": task.evaluation_seed,
            **task.execution.identity(),
            **({} if space.objective == "accuracy" else {"objective": space.objective}),
            **plugins.identity_of(genotype.to_dict()),
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return cls(place_at(task.evaluations), f"{digest}.json")

    def read(self) -> dict[str, Any] | None:
        """`{"trial": …, "objective": …, "metrics": {…}}`, with `"stopped": why` in place of the objective where it ended at
        a rung; None also where the file holds something else."""
        data = self.place.read(self.name) or b""
        try:
            _entries().validate_json(data, strict=True)
        except ValidationError:
            return None
        known: dict[str, Any] = json.loads(data)
        return known

    def write(self, known: dict[str, Any]) -> None:
        """Keep an evaluation; the first one stays where two trials found the genotype at the same time, unless it was
        stopped and this one was not."""
        before = self.read()
        if before is None or (before.get("stopped") and not known.get("stopped")):
            self.place.write(self.name, _json(known))
