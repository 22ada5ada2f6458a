"""From a search space and a data set to the core's search and trainings: the only place that unpacks configuration.

search = build_search(space, images, device=default_device(), seed=0)
training = build_training(space, genotype, images, device=default_device(), seed=0)
test = build_test(space, images, device=default_device())
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from pcdarts_tune.core.genotype import FAMILIES, AnyGenotype
from pcdarts_tune.core.images.data import Batches
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.execution import seed_generators
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.datasets import DataSet, make_batches, split_dataset, training_rows
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.recipes import TrainConfig
from pcdarts_tune.spaces.sizes import check_sizes
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.training.finetuning import Initial

GDAS_TEMPERATURES = (10.0, 0.1)
"""In the first and the last epoch, linear between (GDAS, section 4.1)."""


def build_search(
    space: Space, images: DataSet, *, device: torch.device, seed: int, execution: Execution = DEFAULTS
) -> Search:
    """A search over the space's supernet on the two halves; scored, for the record, on the held-out part."""
    check_sizes(space, images.image_size, ["search"])
    splits, config = split_dataset(images, space.data), space.search
    with seed_generators(device, seed, "supernet"):
        supernet = Supernet(
            **space.supernet.model_dump(), num_classes=images.num_classes, in_channels=images.in_channels
        ).to(device)
    return Search(
        supernet,
        _part(images, splits.weights, config, device, augment=True),
        _part(images, splits.alphas, config, device, augment=True),
        **config.model_dump(exclude={"augment", "method", "sampling"}),
        max_skip_connections=space.derive.max_skip_connections,
        tune_epochs=space.derive.tune_epochs if space.derive.method == "perturbation" else None,
        seed=seed,
        validate=_part(images, splits.held_out, config, device) if len(splits.held_out) else None,
        temperatures=GDAS_TEMPERATURES if config.method == "gdas" else None,
        **execution.arguments(),
    )


def build_training(
    space: Space,
    genotype: AnyGenotype,
    images: DataSet,
    *,
    device: torch.device,
    seed: int,
    stage: Literal["retrain", "evaluation"] = "retrain",
    execution: Execution = DEFAULTS,
    initial: Initial | None = None,
    **divided: Any,
) -> Training:
    """The training of a genotype with one of the space's recipes, validated on the held-out part where there is one.

    Args:
        stage: `evaluation` is the short training that scores a genotype, on both halves unless `evaluation.images` is all;
            `retrain` the full one, on every training image that is not held out.
        initial: a trained network to begin with.
        divided: `groups` and `team` of a training that is divided, see core/groups.py.

    Raises:
        UserError: images that the network cannot take, or an evaluation without held-out images.
    """
    splits, recipe = split_dataset(images, space.data), getattr(space, stage)
    if stage == "evaluation" and not len(splits.held_out):
        raise UserError(
            f"the space {space.name!r} holds no images out (data.split: published), so a trial cannot be scored",
            hint="use it with `search` and `retrain`, or set data.split=tuning for a sweep",
        )
    rows = training_rows(space, splits, stage)
    check_family(space, genotype)
    check_sizes(space, images.image_size, [stage])
    with seed_generators(device, seed, "network"):
        network = EvaluationNetwork(genotype, **network_arguments(recipe, images)).to(device)
    if initial is not None:
        initial.load_into(network)
    return Training(
        network,
        _part(images, rows, recipe, device, augment=True),
        _part(images, splits.held_out, recipe, device) if len(splits.held_out) else None,
        **recipe.model_dump(exclude={"augment", "sampling", "seeds", "images", "epoch_images", *_NETWORK}),
        seed=seed,
        **execution.arguments(),
        **divided,
    )


def build_test(space: Space, images: DataSet, *, device: torch.device) -> Batches:
    """The test images, as a retrained network takes them; read once, after everything was chosen."""
    augment = space.retrain.augment
    return make_batches(
        images.test_images, images.test_labels, images, augment=False, config=augment, device=device
    )


_NETWORK = ("channels", "layers", "stem", "auxiliary")


def network_arguments(recipe: TrainConfig, images: DataSet) -> dict[str, Any]:
    """The arguments, but the genotype, that `EvaluationNetwork` takes for a recipe and a data set."""
    sizes = {name: getattr(recipe, name) for name in _NETWORK}
    return {**sizes, "num_classes": images.num_classes, "in_channels": images.in_channels}


def check_family(space: Space, genotype: AnyGenotype) -> None:
    """Refuse a genotype of another family than the space's, whose sizes and recipes do not fit it."""
    if genotype.family != space.supernet.family:
        cells, wanted = FAMILIES[genotype.family], FAMILIES[space.supernet.family]
        raise UserError(
            f"the space {space.name!r} trains cells of {wanted.title}, and this genotype is of {cells.title}",
            hint=f"take a space with supernet.family: {cells.name} (pcdarts-tune spaces lists them)",
        )


def _part(
    images: DataSet, rows: torch.Tensor, recipe: Any, device: torch.device, *, augment: bool = False
) -> Batches:
    pixels, labels = images.train_images[rows], images.train_labels[rows]
    order: dict[str, Any] = {}
    if augment:
        order = {"sampling": recipe.sampling, "epoch_images": getattr(recipe, "epoch_images", None)}
    return make_batches(
        pixels, labels, images, augment=augment, config=recipe.augment, device=device, **order
    )
