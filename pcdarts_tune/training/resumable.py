"""Long work that goes on where it stopped: every epoch's state and record are written whole to one checkpoint, while the
next epoch runs.

work = Resumable(training, folder / "checkpoint", digest({"space": ..., "seed": 0}), record)
for entry in work:                  # the epochs that are left
    ...
work.history[-1]                    # also those of the interrupted run
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.core.steps.background import Checkpoints
    from pcdarts_tune.core.steps.snapshot import Snapshot

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
        self._texts: list[str] = []  # the history as JSON, each entry made once
        self._checkpoints: Checkpoints | None = None
        if checkpoint is not None:
            self._restore(checkpoint)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Run the epochs that are left; when this ends, however it ends, the last one is in the checkpoint.

        Raises:
            OSError: when an earlier epoch's checkpoint could not be written.
        """
        try:
            for epoch in self.job:
                entry = self.record(epoch)
                self.history.append(entry)
                self._save()
                yield entry
        except BaseException:
            with suppress(Exception):  # what went wrong first counts
                self.flush()
            raise
        self.flush()

    def flush(self) -> None:
        """Wait until the checkpoint is written.

        Raises:
            OSError: when it could not be.
        """
        if self._checkpoints is not None:
            self._checkpoints.flush()

    def finish(self) -> None:
        """Remove the checkpoint: the result is kept elsewhere."""
        self.flush()
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)

    def _save(self) -> None:
        from pcdarts_tune.core.steps.background import Checkpoints

        if self.checkpoint is None:
            return
        if self._checkpoints is None:
            self._checkpoints = Checkpoints()
        self._texts += [json.dumps(entry) for entry in self.history[len(self._texts) :]]
        state = {"recipe": self.recipe, "history": self._texts, "job": self.job.state_dict()}
        self._checkpoints.put(state, self._write)

    def _read(self) -> bytes | None:
        """The checkpoint's bytes, None where there is none."""
        path = self.checkpoint
        return path.read_bytes() if path is not None and path.exists() else None

    def _write(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, whole or not at all; called in a thread of its own."""
        from pcdarts_tune.core.steps.state import write_snapshot

        assert self.checkpoint is not None, "else nothing is saved"
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        write_snapshot(self.checkpoint, snapshot)

    def _restore(self, checkpoint: Path) -> None:
        advice = f"remove {checkpoint.name} there to start anew, or choose another place with -o"
        try:
            if (data := self._read()) is None:
                return
            recipe, texts, history, state = _parts(data)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(f"the checkpoint {checkpoint} cannot be read: {error}", hint=advice) from error
        if recipe != self.recipe:
            raise UserError(
                f"{checkpoint} was left by another recipe, genotype, seed or data set, so this cannot go on from it",
                hint=advice,
            )
        try:
            self.job.load_state_dict(state)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the checkpoint {checkpoint} does not fit: {reason}", hint=advice) from error
        self.history, self._texts = history, list(texts)


def digest(recipe: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a JSON-able recipe."""
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def history_left(checkpoint: Path, recipe: str) -> list[dict[str, Any]]:
    """The records in a checkpoint of that recipe; none where there is no such checkpoint, or it cannot be read."""
    try:
        left_by, _, history, _ = _parts(checkpoint.read_bytes())
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return history if left_by == recipe else []


def _parts(data: bytes) -> tuple[str, list[str], list[dict[str, Any]], Any]:
    """A checkpoint's recipe, its history as JSON and as records, and the job's state.

    Raises:
        ValueError, LookupError, TypeError: it is none.
    """
    from pcdarts_tune.core.steps.snapshot import restored

    saved = restored(data)
    return saved["recipe"], saved["history"], [json.loads(text) for text in saved["history"]], saved["job"]
