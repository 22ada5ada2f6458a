"""A retraining as plain values: what is trained, and what came of it.

training = Retraining(space, genotype, images, seed=0).build(device)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.sizes import resolve_recipe
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.training.finetuning import Initial
from pcdarts_tune.training.journal import digest

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.genotype import AnyGenotype
    from pcdarts_tune.core.groups import Team
    from pcdarts_tune.core.retrain import Training
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space

STAGE = "retrain"
"""Prefix of the metrics in MLflow."""


@dataclass(frozen=True)
class Retraining:
    """What is trained: everything that decides the result.

    Attributes:
        groups: parts of a batch, see core/groups.py.
        initial: a trained network to begin with.
    """

    space: Space
    genotype: AnyGenotype
    images: DataSet
    seed: int
    execution: Execution = DEFAULTS
    groups: int = 1
    initial: Initial | None = None

    @property
    def recipe(self) -> str:
        """16 hexadecimal digits: equal for trainings that compute the same."""
        return digest({**self._setting(), "genotype": self.genotype.to_dict(), "seed": self.seed})

    @property
    def setting(self) -> str:
        """16 hexadecimal digits: equal for trainings of whichever genotypes and seeds that are otherwise alike."""
        return digest(self._setting())

    def _setting(self) -> dict[str, Any]:
        return {
            "retrain": identity(resolve_recipe(self.space.retrain, self.images.image_size)),
            "data": identity(self.space.data),
            "images": self.images.digest,
            **self.execution.identity(),
            **({"groups": self.groups} if self.groups > 1 else {}),
            **({} if self.initial is None else {"initial": self.initial.identity()}),
            **plugins.identity_of(self.genotype.to_dict()),
        }

    def build(self, device: torch.device, team: Team | None = None) -> Training:
        """The training, or what one process of a team computes of it."""
        from pcdarts_tune.training.build import build_training

        return build_training(
            self.space,
            self.genotype,
            self.images,
            device=device,
            seed=self.seed,
            execution=self.execution,
            initial=self.initial,
            groups=self.groups,
            team=team,
        )


@dataclass(frozen=True)
class Retrained:
    """What came of it.

    Attributes:
        folder: the model.
        test_accuracy, test_loss: None as long as the test split was not read.
        validation_accuracy: on the held-out images after the last epoch; None where the split holds nothing out.
        run_id: the MLflow run, None when it was not tracked.
        weights: 16 hexadecimal digits: equal for trainings that came out the same, bit for bit.
        held_out_scores, test_scores: balanced accuracy, standard errors and the recall of every class, see
            `scoring.name_classes`; None where there are none, and in records of older versions.
    """

    folder: Path
    test_accuracy: float | None
    test_loss: float | None
    validation_accuracy: float | None
    epochs: int
    seconds: float
    run_id: str | None
    weights: str | None = None
    held_out_scores: dict[str, Any] | None = None
    test_scores: dict[str, Any] | None = None

    def validation_score(self, objective: str) -> float | None:
        """What it is compared with others by on the held-out images: the balanced accuracy where that is the space's objective,
        the accuracy elsewhere; None where there is none."""
        if objective != "balanced_accuracy" or self.validation_accuracy is None:
            return self.validation_accuracy
        balanced: float | None = (self.held_out_scores or {}).get("balanced_accuracy")
        return balanced

    def result(self) -> dict[str, Any]:
        """What the folder itself keeps of it."""
        return {key: value for key, value in vars(self).items() if key != "folder"}

    def to_dict(self) -> dict[str, Any]:
        return {"folder": str(self.folder), **self.result()}
