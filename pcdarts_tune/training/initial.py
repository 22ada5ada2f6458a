"""A trained network to begin a training with, instead of random weights: the base of a fine-tuning.

    initial = Initial.read(folder, "first/1")
    initial.load_into(network)          # all but the classifiers
    initial.identity()                  # enters the digest of the training's recipe

The same base in another folder is the same base: its weights' digest counts, not its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.models.model import LoadedModel


@dataclass(frozen=True)
class Initial:
    """Where the weights are, and what is done with them.

    Attributes:
        folder: the model folder, or an exported safetensors file.
        weights: digest of its weights (`weights_digest`).
        name: how the model was named: `first/2`, or its absolute path.
        run_id: the MLflow run that trained it; None where that is not known.
        freeze: train the classifier alone.
        content: the weights as safetensors' bytes, where the folder cannot be read.
    """

    folder: Path
    weights: str
    name: str
    run_id: str | None = None
    freeze: bool = False
    content: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, folder: Path, name: str, *, freeze: bool = False) -> tuple[Initial, LoadedModel]:
        """The weights of a model folder (or an exported file), and the model itself, read on the CPU.

        Raises:
            UserError: it cannot be read.
        """
        from pcdarts_tune.core.steps.checkpoints import weights_digest
        from pcdarts_tune.models.model import load_model

        model = load_model(folder)
        origin = model.description.get("origin")
        result = origin.get("result") if isinstance(origin, dict) else None
        run_id = result.get("run_id") if isinstance(result, dict) else None
        digest = weights_digest(model.network)
        return cls(folder, digest, name, run_id if isinstance(run_id, str) else None, freeze), model

    def identity(self) -> dict[str, Any]:
        """What of it decides the result."""
        return {"weights": self.weights, "freeze": self.freeze}

    def to_dict(self) -> dict[str, Any]:
        """For model.json."""
        return {"model": self.name, "run_id": self.run_id, **self.identity()}

    def tags(self) -> dict[str, str]:
        """Of the MLflow run that goes on from it."""
        known = {} if self.run_id is None else {Tag.BASE_RUN: self.run_id}
        return known | {
            Tag.BASE_MODEL: self.name,
            Tag.BASE_WEIGHTS: self.weights,
            Tag.FREEZE: "yes" if self.freeze else "no",
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str], folder: Path) -> Initial:
        """What `tags` was made of, its model read from `folder`.

        Raises:
            UserError: the model holds other weights now.
        """
        name, digest = tags.get(Tag.BASE_MODEL, ""), tags.get(Tag.BASE_WEIGHTS, "")
        initial, _ = cls.read(folder, name)
        if initial.weights != digest:
            raise UserError(
                f"{name} holds other weights now (digest {initial.weights}, it had {digest})",
                hint="put back the model that the fine-tuning began with",
            )
        return replace(initial, freeze=tags.get(Tag.FREEZE) == "yes")

    def to_travel(self) -> Initial:
        """The same with its weights inside, for machines that do not have the folder."""
        from safetensors.torch import save

        from pcdarts_tune.models.model import load_model

        return replace(self, content=save(load_model(self.folder).network.state_dict()))

    def load_into(self, network: EvaluationNetwork) -> None:
        """Give a network these weights, its classifiers apart, and freeze what shall not train.

        Raises:
            UserError: it has other sizes or cells.
        """
        from safetensors.torch import load

        from pcdarts_tune.models.model import load_model

        weights = load_model(self.folder).network.state_dict() if self.content is None else load(self.content)
        try:
            network.load_features(weights)
        except ValueError as error:
            raise UserError(
                f"{self.name} cannot be the base: {error}", hint="leave channels, layers, stem as the model's"
            ) from error
        if self.freeze:
            network.freeze_features()
