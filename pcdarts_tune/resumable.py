"""Long work that goes on where it stopped: every epoch's state and record are written whole to one checkpoint.

work = Resumable(training, folder / "checkpoint.pt", digest({"space": ..., "seed": 0}), record)
for entry in work:                  # the epochs that are left
    ...
work.history[-1]                    # also those of the interrupted run
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pcdarts_tune.errors import UserError

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Job(Protocol[E_co]):
    """A search or a training of the core: a generator of epochs whose whole state can be taken and put back."""

    def __iter__(self) -> Iterator[E_co]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Resumable(Generic[E]):
    """A job with its checkpoint.

    Args:
        job: what computes the epochs.
        checkpoint: file to keep the state in, or None to keep none.
        recipe: digest of everything that decides the result; a checkpoint of another recipe is refused.
        record: what to keep of an epoch; plain values.

    Raises:
        UserError: when the checkpoint belongs to another recipe or cannot be read.
    """

    def __init__(
        self, job: Job[E], checkpoint: Path | None, recipe: str, record: Callable[[E], dict[str, Any]]
    ) -> None:
        self.job, self.checkpoint, self.recipe, self.record = job, checkpoint, recipe, record
        self.history: list[dict[str, Any]] = []
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from pcdarts_tune.core.state import save_checkpoint

        for epoch in self.job:
            entry = self.record(epoch)
            self.history.append(entry)
            if self.checkpoint is not None:
                self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
                state = {"recipe": self.recipe, "history": self.history, "job": self.job.state_dict()}
                save_checkpoint(self.checkpoint, state)
            yield entry

    def finish(self) -> None:
        """Remove the checkpoint: the result is kept elsewhere."""
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)

    def _restore(self, checkpoint: Path) -> None:
        from pcdarts_tune.core.state import load_checkpoint

        advice = f"remove {checkpoint.name} there to start anew, or choose another place with -o"
        try:
            saved = load_checkpoint(checkpoint)
            recipe, history, state = saved["recipe"], saved["history"], saved["job"]
        except Exception as error:  # torch raises many kinds for a damaged file
            raise UserError(
                f"the checkpoint {checkpoint} cannot be read: {type(error).__name__}", hint=advice
            ) from error
        if recipe != self.recipe:
            raise UserError(
                f"{checkpoint} was left by another recipe, genotype, seed or data set, so this cannot go on from it",
                hint=advice,
            )
        self.job.load_state_dict(state)
        self.history = list(history)


def digest(recipe: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a JSON-able recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
