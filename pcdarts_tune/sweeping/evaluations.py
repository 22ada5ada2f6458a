"""Evaluated genotypes of a sweep: what was trained once with a recipe is not trained again.

A file for each (canonical genotype, evaluation recipe, data set, split, seed), written whole, so that trials
on any node that sees the folder share them. All evaluations of a sweep use one seed: which trial came first
makes no difference.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.home import write_json

if TYPE_CHECKING:
    from pcdarts_tune.config import Space
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.sweeping.outcome import TrialTask


@dataclass(frozen=True)
class EvaluationCache:
    """The place of one genotype's evaluation."""

    path: Path

    @classmethod
    def of(cls, task: TrialTask, space: Space, genotype: Genotype, data_digest: str) -> EvaluationCache:
        """Where the evaluation of `genotype` under the space's recipe lies, whether it was done or not."""
        key = {
            "genotype": genotype.canonical_hash(),
            "evaluation": space.evaluation.model_dump(mode="json"),
            "data": space.data.model_dump(mode="json"),
            "images": data_digest,
            "seed": task.evaluation_seed,
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return cls(Path(task.evaluations) / f"{digest}.json")

    def read(self) -> dict[str, Any] | None:
        """`{"trial": …, "objective": …, "metrics": {…}}`, or None, also where the file holds something else."""
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return known if _is_evaluation(known) else None

    def write(self, known: dict[str, Any]) -> None:
        """Keep an evaluation; the first one stays where two trials found the genotype at the same time."""
        if self.read() is None:
            write_json(self.path, known)


def _is_evaluation(known: Any) -> bool:
    return (
        isinstance(known, dict)
        and isinstance(known.get("trial"), int)
        and isinstance(known.get("objective"), float | int)
        and math.isfinite(known["objective"])
        and isinstance(known.get("metrics"), dict)
    )
