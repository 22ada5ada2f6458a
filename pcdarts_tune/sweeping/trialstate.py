"""A trial's folder: how far it is, written whole after every epoch, and its result when it has ended.

state = TrialState.open(folder)     # an earlier start's, or a new one
state.history                       # the records reported so far, those of an interrupted start too
state.save(part=search.state_dict, seconds=12.5)
state.finish(outcome)               # result.json and genotype.json stay, the checkpoint goes
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcdarts_tune.home import write_json
from pcdarts_tune.sweeping.outcome import Outcome

log = logging.getLogger(__name__)


@dataclass
class TrialState:
    """What a trial needs to go on.

    Attributes:
        history: records, oldest first.
        part: state of the search before the genotype is derived, of the evaluation after; None between the two.
        seconds: time spent so far, over all starts.
        outcome: once ended.
    """

    folder: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    part: dict[str, Any] | None = None
    seconds: float = 0.0
    outcome: Outcome | None = None

    @classmethod
    def open(cls, folder: str | Path) -> TrialState:
        """The state in `folder`, or a new one; makes the folder."""
        from pcdarts_tune.core.state import load_checkpoint

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if (result := read_result(folder)) is not None:
            return cls(folder, history=result["history"], outcome=Outcome.from_dict(result["outcome"]))
        checkpoint = folder / "checkpoint.pt"
        if not checkpoint.exists():
            return cls(folder)
        saved = load_checkpoint(checkpoint)
        history = json.loads(saved["history"])
        return cls(folder, history, saved["part"], saved["seconds"])

    def save(self, *, part: Callable[[], dict[str, Any]] | None, seconds: float) -> None:
        """Write the checkpoint, whole or not at all."""
        from pcdarts_tune.core.state import save_checkpoint

        saved = {
            "history": json.dumps(self.history),
            "part": None if part is None else part(),
            "seconds": seconds,
        }
        save_checkpoint(self.folder / "checkpoint.pt", saved)

    def finish(self, outcome: Outcome) -> None:
        """Write the result; the checkpoint is not needed any more."""
        if outcome.genotype is not None:
            write_json(self.folder / "genotype.json", outcome.genotype)
        write_json(self.folder / "result.json", {"outcome": outcome.to_dict(), "history": self.history})
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)


def leave_failed(folder: str | Path, outcome: Outcome) -> None:
    """Write the result of a trial that failed, with what it reported before; a result that is there already stays.

    Never raises: why the trial failed counts for more than what it leaves.
    """
    try:
        state = TrialState.open(folder)
        if state.outcome is None:
            state.finish(outcome)
    except Exception:  # such as a full disk, or a checkpoint that cannot be read
        log.debug("no result was left in %s", folder, exc_info=True)


def read_result(folder: Path) -> dict[str, Any] | None:
    """`{"outcome": …, "history": […]}` of a trial that ended, else None."""
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return result
