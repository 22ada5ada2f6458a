"""Evaluated genotypes of a sweep: what was trained once with a recipe is not trained again.

A file for each (canonical genotype, evaluation recipe, data set, split, seed, precision), written whole, so that trials
on all nodes share them. All evaluations of a sweep use one seed: which trial came first
makes no difference.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from pcdarts_tune.places import Place, place_at

if TYPE_CHECKING:
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.tasks import TrialTask


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


@dataclass(frozen=True)
class EvaluationCache:
    """The place of one genotype's evaluation."""

    place: Place
    name: str

    @classmethod
    def of(cls, task: TrialTask, space: Space, genotype: Genotype, data_digest: str) -> EvaluationCache:
        """Where the evaluation of `genotype` under the space's recipe lies, whether it was done or not."""
        key = {
            "genotype": genotype.canonical_hash(),
            "evaluation": space.evaluation.model_dump(mode="json"),
            "data": space.data.model_dump(mode="json"),
            "images": data_digest,
            "seed": task.evaluation_seed,
            **task.execution.identity(),
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return cls(place_at(task.evaluations), f"{digest}.json")

    def read(self) -> dict[str, Any] | None:
        """`{"trial": …, "objective": …, "metrics": {…}}`, with `"stopped": why` in place of the objective where it ended at
        a rung; None also where the file holds something else."""
        data = self.place.read(self.name) or b""
        try:
            TypeAdapter(_Evaluated | _Stopped).validate_json(data, strict=True)
        except ValidationError:
            return None
        known: dict[str, Any] = json.loads(data)
        return known

    def write(self, known: dict[str, Any]) -> None:
        """Keep an evaluation; the first one stays where two trials found the genotype at the same time, unless it was
        stopped and this one was not."""
        before = self.read()
        if before is None or (before.get("stopped") and not known.get("stopped")):
            self.place.write(self.name, [json.dumps(known, indent=1).encode(), b"\n"])
