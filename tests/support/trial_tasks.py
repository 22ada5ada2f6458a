"""What a trial is told when a test runs it without Ray, how it is killed, and what of its records can be compared.

task(space, tmp_path, hyperparameters={"supernet.k": 4})
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import Proposal, TrialTask

QUICK_TRIAL = (
    "data.test_fraction=0.7",  # fewer to train on
    "supernet.channels=4",
    "search.epochs=2",
    "search.arch_warmup_epochs=1",
    "evaluation.epochs=2",
    "evaluation.channels=4",
)
"""Settings of `quickstart` with which a trial takes seconds."""


class Killed(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def killed_after(count: int) -> Any:
    """A report that ends the trial with `Killed` after so many records of its own."""
    reported = 0

    def report(record: dict[str, Any]) -> None:
        nonlocal reported
        reported += record["kind"] != "history"
        if reported > count:
            raise Killed

    return report


def timeless(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what depends on the clock and the machine."""
    timed = ("seconds", "images_per_second", "peak_memory_bytes")

    def keep(name: str) -> bool:
        return not name.startswith("system/") and not name.endswith(timed)

    return [
        {**record, "metrics": {name: value for name, value in record["metrics"].items() if keep(name)}}
        if "metrics" in record
        else record
        for record in records
    ]


def task(space: Space, place: Path, **changes: Any) -> TrialTask:
    """The first trial of a sweep, which keeps its files below `place`."""
    proposal: dict[str, Any] = {
        "number": 0,
        "seed": 11,
        "hyperparameters": {"supernet.k": 2, "search.learning_rate": 0.05},
    }
    proposal |= {key: changes.pop(key) for key in list(changes) if key in proposal}
    told = TrialTask(
        Proposal(**proposal),
        evaluation_seed=5,
        space=space.model_dump_json(),
        folder=str(place / "trial"),
        evaluations=str(place / "evaluations"),
    )
    return replace(told, **changes)
