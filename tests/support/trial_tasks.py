"""What a trial is told when a test runs it without Ray.

task(space, tmp_path, hyperparameters={"supernet.k": 4})
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import Proposal, TrialTask


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
