"""What a trial is told when a test runs it without Ray.

task(space, tmp_path, hyperparameters={"supernet.k": 4})
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import TrialTask


def task(space: Space, place: Path, **changes: Any) -> TrialTask:
    """The first trial of a sweep, which keeps its files below `place`."""
    told = TrialTask(
        number=0,
        seed=11,
        evaluation_seed=5,
        hyperparameters={"supernet.k": 2, "search.learning_rate": 0.05},
        space=space.model_dump_json(),
        folder=str(place / "trial"),
        evaluations=str(place / "evaluations"),
    )
    return replace(told, **changes)
