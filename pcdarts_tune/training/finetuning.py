"""A trained network, another data set: the space, the checks and the base of a fine-tuning, which `retrain` then does.

    initial, model = Initial.read(folder, "first/1")
    space = finetuning_space(space_named, model, settings)
    retrain(Retraining(space, model.genotype, images, seed, initial=initial), folder, device=device)

It is a retraining that begins with the model's weights, sizes and a new classifier: a tenth of the epochs and of the learning
rate, unless told otherwise. Normalisation is the new data set's, as from scratch; the running statistics follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.models.model import LoadedModel
    from pcdarts_tune.spaces.space import Space

SHARE = 0.1
"""Of the recipe's epochs, warm-up and learning rates."""

_SIZES = ("channels", "layers", "stem")


def finetuning_space(
    space: Space,
    model: LoadedModel,
    settings: Sequence[str] = (),
    *,
    freeze: bool = False,
    share: float = SHARE,
) -> Space:
    """The space's retraining recipe as it goes on from a model: what the environment and `--set` say counts most.

    Args:
        freeze: train the classifier alone: no drop path and no auxiliary head below it.
        share: of the recipe's epochs, warm-up and learning rates; 1 where it is a fine-tuning's already.

    Raises:
        UserError: settings that are not legal, or that give the network other sizes than the model's.
    """
    from pcdarts_tune.spaces.settings import change, environment_settings, parse_settings

    recipe, network = space.retrain, model.description["network"]
    changes: dict[str, Any] = {
        "epochs": max(1, round(share * recipe.epochs)),
        "lr_warmup_epochs": round(share * recipe.lr_warmup_epochs),
        "learning_rate": share * recipe.learning_rate,
        "learning_rate_min": share * recipe.learning_rate_min,
        **{name: network[name] for name in _SIZES},
    }
    if freeze:
        changes |= {"drop_path": 0.0, "auxiliary": False}
    size = model.preprocessing["image_size"]
    lines = [f"retrain.{name}={value}" for name, value in changes.items()]
    if space.data.image_size is None and isinstance(size, int) and 8 <= size <= 1024:
        lines.append(f"data.image_size={size}")  # the scale at which the features were learned
    space = change(space, [*parse_settings(lines), *environment_settings(), *parse_settings(settings)])
    for name in _SIZES:
        wanted = getattr(space.retrain, name)
        if wanted != network[name]:
            raise UserError(
                f"retrain.{name}={wanted}: the model's is {network[name]}, and its weights fit no other",
                hint=f"leave retrain.{name} out; pcdarts-tune retrain trains other sizes from scratch",
            )
    return space


def check_channels(model: LoadedModel, images: DataSet) -> None:
    """Raise a UserError for images with other channels than the model's, saying what both have."""
    kinds = {1: "grey", 3: "colour"}
    has, takes = images.in_channels, int(model.preprocessing["channels"])
    if has != takes:
        raise UserError(
            f"{images.name} has images of {has} channel{'s' * (has != 1)}; the model takes {takes}",
            hint=f"convert the images to {kinds.get(takes, 'as many channels')}, or take a model that was trained on "
            f"{kinds.get(has, 'such')} ones",
        )


def in_words(model: LoadedModel, space: Space, images: DataSet, *, freeze: bool) -> str:
    """What will be done, for the person who waits."""
    recipe = space.retrain
    before, now = model.preprocessing["image_size"], images.image_size
    before = (before, before) if isinstance(before, int) else tuple(before)
    scale = "" if before == now else f", {before[0]}x{before[1]} before"
    parts = "the new classifier alone" if freeze else "all weights, the classifier new"
    return (
        f"fine-tuning {parts}: {len(model.classes)} classes before, {images.num_classes} now, "
        f"{now[0]}x{now[1]} images{scale}; {recipe.epochs} epochs from learning rate {recipe.learning_rate:g}; "
        f"normalised as {images.name} is"
    )


@dataclass(frozen=True)
class Initial:
    """A trained network to begin with, and what is done with it; the weights' digest counts, not the folder or the name.

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
