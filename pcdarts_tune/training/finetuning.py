"""A trained network, another data set: the space and the checks of a fine-tuning; `retraining.retrain` does the work.

    space = finetuning_space(space_named, model, settings)
    check_channels(model, images)
    retrain(Retraining(space, model.genotype, images, seed, initial=initial), folder, device=device)

A fine-tuning is a retraining with the space's recipe that begins with the model's weights: a tenth of the epochs and of the
learning rate, unless told otherwise, and a new classifier. The network's sizes are the model's. Normalisation is the new
data set's own: its means and deviations, as a training from scratch would have; the running statistics follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.models.model import LoadedModel
    from pcdarts_tune.spaces.space import Space

SHARE = 0.1
"""Of the recipe's epochs, warm-up and learning rates."""

_SIZES = ("channels", "layers", "stem")


def finetuning_space(
    space: Space, model: LoadedModel, settings: Sequence[str] = (), *, freeze: bool = False
) -> Space:
    """The space's retraining recipe as it goes on from a model: what the environment and `--set` say counts most.

    Args:
        space: as its file says.
        freeze: the classifier alone trains: no drop path and no auxiliary head below it.

    Raises:
        UserError: settings that are not legal, or that give the network other sizes than the model's.
    """
    from pcdarts_tune.spaces.settings import change, environment_settings, parse_settings

    recipe, network = space.retrain, model.description["network"]
    changes: dict[str, Any] = {
        "epochs": max(1, round(SHARE * recipe.epochs)),
        "lr_warmup_epochs": round(SHARE * recipe.lr_warmup_epochs),
        "learning_rate": SHARE * recipe.learning_rate,
        "learning_rate_min": SHARE * recipe.learning_rate_min,
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
    """Refuse images with other channels than the model's.

    Raises:
        UserError: saying what both have.
    """
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
