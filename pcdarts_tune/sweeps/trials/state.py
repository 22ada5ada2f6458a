"""What a trial leaves: how far it is, written whole after every epoch while it goes on, and its result when it has ended.

state = TrialState.open(address)    # an earlier start's, or a new one
state.history                       # the records so far, those of an interrupted start too
state.save(part=search.state_dict, seconds=12.5)
state.finish(outcome)               # result.json and genotype.json stay, the checkpoint goes
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.places import Place, place_at
from pcdarts_tune.tasks import Outcome

if TYPE_CHECKING:
    from pcdarts_tune.core.steps.background import Checkpoints
    from pcdarts_tune.core.steps.checkpoints import Snapshot

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"


@dataclass
class TrialState:
    """What a trial needs to go on.

    Attributes:
        history: records, oldest first.
        part: state of the search before the genotype is derived, of the evaluation after; None between the two.
        seconds: time spent so far, over all starts.
        outcome: once ended.
    """

    place: Place
    history: list[dict[str, Any]] = field(default_factory=list)
    part: dict[str, Any] | None = None
    seconds: float = 0.0
    outcome: Outcome | None = None
    _texts: list[str] = field(default_factory=list, repr=False)
    _checkpoints: Checkpoints | None = field(default=None, repr=False)

    @classmethod
    def open(cls, address: str | Path) -> TrialState:
        """The state at an address (see storage.py), or a new one; new also where a checkpoint there cannot be read: a trial
        that begins again comes to the same result.
        """
        place = place_at(address)
        if (result := _result(place)) is not None:
            return cls(place, history=result["history"], outcome=Outcome(**result["outcome"]))
        data = place.read(CHECKPOINT)
        if data is None:
            return cls(place)
        from pcdarts_tune.core.steps.checkpoints import restored

        try:
            saved = restored(data)
            texts = saved["history"]
            return cls(
                place, [json.loads(text) for text in texts], saved["part"], saved["seconds"], _texts=texts
            )
        except (ValueError, LookupError, TypeError) as error:
            log.warning("the checkpoint in %s is left: %s", place.address, error)
            return cls(place)

    def save(
        self,
        *,
        part: Callable[[], dict[str, Any]] | None,
        seconds: float,
        written: Callable[[int], None] | None = None,
        wait: bool = True,
    ) -> None:
        """Write the checkpoint, whole or not at all.

        Args:
            part: gives the state of what is going on.
            written: called afterwards with the number of records that the checkpoint holds, in the thread that wrote it.
            wait: False copies the state and returns; what goes wrong is raised the next time. A checkpoint that waits is
                overtaken by a newer one.
        """
        from pcdarts_tune.core.steps.background import Checkpoints

        if self._checkpoints is None:
            self._checkpoints = Checkpoints()
        self._texts += [json.dumps(record) for record in self.history[len(self._texts) :]]
        count = len(self._texts)

        def write(snapshot: Snapshot) -> None:
            self.place.write(CHECKPOINT, snapshot.chunks())
            if written is not None:
                written(count)

        state = {"history": self._texts, "part": None if part is None else part(), "seconds": seconds}
        self._checkpoints.put(state, write)
        if wait:
            self.flush()

    def flush(self) -> None:
        """Wait until the newest checkpoint is written, and raise what went wrong."""
        if self._checkpoints is not None:
            self._checkpoints.flush()

    def finish(self, outcome: Outcome) -> None:
        """Write the result; the checkpoint is not needed any more."""
        self.flush()
        if outcome.genotype is not None:
            self.place.write("genotype.json", _json(outcome.genotype))
        self.place.write("result.json", _json({"outcome": outcome.to_dict(), "history": self.history}))
        self.place.delete(CHECKPOINT)
        self.place.tidy()


def leave_failed(address: str | Path, outcome: Outcome) -> list[dict[str, Any]]:
    """Write the result of a trial that failed, with what it reported before; a result that is there already stays.

    Never raises: why the trial failed counts for more than what it leaves.

    Returns:
        What it reported.
    """
    try:
        state = TrialState.open(address)
        if state.outcome is None:
            state.finish(outcome)
        return state.history
    except Exception:  # such as a full disk, or a storage that does not answer
        log.debug("no result was left in %s", address, exc_info=True)
        return []


def read_result(address: str | Path) -> dict[str, Any] | None:
    """`{"outcome": …, "history": […]}` of a trial that ended, else None."""
    return _result(place_at(address))


def _result(place: Place) -> dict[str, Any] | None:
    data = place.read("result.json")
    if data is None:
        return None
    try:
        result: dict[str, Any] = json.loads(data)
        Outcome(**result["outcome"])
        if isinstance(result["history"], list):
            return result
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    log.warning("the result in %s is left: it is not what a trial writes", place.address)
    return None


def _json(value: Any) -> list[bytes]:
    return [json.dumps(value, indent=1).encode(), b"\n"]
