"""The recipes of a space: how images are altered, how a search trains, how a derived network trains.

Defaults are the published CIFAR-10 settings (PC-DARTS, arXiv 1907.05737; DARTS, arXiv 1806.09055).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.keys import ADDED, Listed, Section
from pcdarts_tune.spaces.methods import METHODS

Decay = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Decay, Decay], Listed]
Unit = Annotated[float, Field(ge=0, le=1)]
Balance = Literal["none", "balanced"]
Sampling = Literal["uniform", "balanced"]
Jitter = Annotated[tuple[Unit, Unit, Unit, Annotated[float, Field(ge=0, le=0.5)]], Listed]


class AugmentConfig(Section):
    """What is done to a training image, drawn anew for each image and epoch."""

    kind: Literal["cifar", "imagenet", "none"] = "cifar"
    """What is done: pad, crop and flip (cifar); a resized crop to data.image_size and flip (imagenet); only normalise."""
    crop_padding: int = Field(default=4, ge=0, le=64)
    """Pixels of zeros around the image before the random crop."""
    flip: bool = True
    """Mirror left and right with probability one half; not for digits or text."""
    cutout: int | None = Field(default=0, ge=0, le=512)
    """Side in pixels of a square set to 0 after normalising; 0: none; null: half the side of the images with kind cifar
    (16 of 32, as published)."""
    color_jitter: Jitter | None = None
    """[brightness, contrast, saturation, hue]; null: none ([.4, .4, .4, .2]: ImageNet retraining)."""
    rand_augment: int = Field(default=0, ge=0, le=16)
    """Operations of RandAugment an image, in worker processes; 0: none."""
    rand_augment_magnitude: int = Field(default=9, ge=0, le=30)
    """How strong the operations of RandAugment are."""


def _whole(value: Any) -> Any:
    """Python takes 1.0 and true for 1."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is not legal; must be one of 1, 2")
    return value


Order = Annotated[Literal[1, 2], BeforeValidator(_whole)]


def _method(value: str) -> str:
    if value not in METHODS:
        raise ValueError(f"{value!r} is no method{nearest(value, METHODS)}; legal: {', '.join(METHODS)}")
    return value


class SearchConfig(Section):
    """One search: how weights and architecture are trained (PC-DARTS sec. 4.2, DARTS sec. 3.1)."""

    method: Annotated[str, ADDED, AfterValidator(_method)] = "pc-darts"
    """How a genotype is found: by a search over the supernet (pc-darts), by one that samples an operation an edge in each step
    (gdas: Dong & Yang, CVPR 2019, arXiv 1910.04465), or drawn at random without one (random)."""
    epochs: int = Field(default=50, ge=1, le=10_000)
    """Passes over the images that train the weights."""
    batch_size: int = Field(default=256, ge=2, le=65_536)
    """Images a step, in both halves (DARTS 64)."""
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    """Learning rate of SGD at the start (DARTS 0.025)."""
    learning_rate_min: float = Field(default=0.0, ge=0, le=10)
    """Learning rate of SGD at the end of the cosine (DARTS 0.001)."""
    lr_warmup_epochs: int = Field(default=0, ge=0, le=1000)
    """Epochs of linear warm-up of SGD (ImageNet 5)."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(default=3e-4, ge=0, le=1)
    """Weight decay of the weights; worth reaching 1e-2 (RobustDARTS)."""
    grad_clip: float = Field(default=5.0, gt=0, le=1e6)
    """Largest norm of the weights' gradient."""
    arch_learning_rate: float = Field(default=6e-4, gt=0, le=1)
    """Learning rate of Adam for alphas and betas (DARTS 3e-4)."""
    arch_betas: Betas = (0.5, 0.999)
    """Decay rates of Adam for alphas and betas."""
    arch_weight_decay: float = Field(default=1e-3, ge=0, le=1)
    """Weight decay of alphas and betas, added to the gradient."""
    arch_grad_clip: float | None = Field(default=None, gt=0, le=1e6)
    """Largest norm of the architecture's gradient; null: not clipped (ImageNet 5)."""
    arch_warmup_epochs: int = Field(default=15, ge=0, le=10_000)
    """First epochs in which alphas and betas stay frozen (ImageNet 35, DARTS 0)."""
    order: Order = 1
    """Order of the architecture step; 2 goes through one step of the weights (DARTS sec. 2.3)."""
    hessian: Literal["finite_difference", "exact"] = "finite_difference"
    """How the second order takes its Hessian-vector product (finite_difference: DARTS)."""
    log_hessian: Annotated[int | None, ADDED] = Field(default=None, ge=1, le=10_000)
    """Epochs between two dominant eigenvalues of the architecture's Hessian, which are recorded and change nothing
    (RobustDARTS, arXiv 1909.09656); null: never."""
    class_weights: Annotated[Balance, ADDED] = "none"
    """What an image counts in the losses (balanced: N / (K n_c) of N images, K classes, n_c of the image's class)."""
    sampling: Annotated[Sampling, ADDED] = "uniform"
    """How an epoch draws its images: each once (uniform), or as many of every class (balanced)."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation of both halves."""

    @property
    def trained_epochs(self) -> int:
        """`epochs`, or 0 with a method that trains no supernet."""
        return self.epochs if METHODS[self.method].searches else 0


class TrainConfig(Section):
    """One training of a derived network from scratch (DARTS sec. 3.2, PC-DARTS sec. 4.2)."""

    channels: int = Field(default=36, ge=1, le=1024)
    """Channels C of the first cells (ImageNet 48)."""
    layers: int = Field(default=20, ge=3, le=64)
    """Number of cells; with fewer than 3 one kind would not occur (ImageNet 14)."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers; those of imagenet halve the image three times at once."""
    epochs: int = Field(default=600, ge=1, le=10_000)
    """Passes over the training images (ImageNet 250)."""
    batch_size: int = Field(default=96, ge=2, le=65_536)
    """Images a step (ImageNet 1024)."""
    learning_rate: float = Field(default=0.025, gt=0, le=10)
    """Learning rate of SGD at the start (ImageNet 0.5)."""
    learning_rate_min: float = Field(default=0.0, ge=0, le=10)
    """Learning rate of SGD at the end of the cosine."""
    lr_warmup_epochs: int = Field(default=0, ge=0, le=1000)
    """Epochs of linear warm-up (ImageNet 5)."""
    schedule: Literal["cosine", "linear", "step"] = "cosine"
    """Course of the learning rate (linear: PC-DARTS on ImageNet; step: 0.97 an epoch, DARTS on ImageNet)."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(default=3e-4, ge=0, le=1)
    """Weight decay of the weights (ImageNet 3e-5)."""
    grad_clip: float = Field(default=5.0, gt=0, le=1e6)
    """Largest norm of the gradient."""
    drop_path: float = Field(default=0.3, ge=0, lt=1)
    """Probability that a path is dropped, reached linearly at the end (DARTS 0.2)."""
    auxiliary: bool = True
    """Whether a second classifier follows two thirds of the cells, in training only."""
    auxiliary_weight: float = Field(default=0.4, ge=0, le=10)
    """Weight of the auxiliary head's loss."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread over all classes (ImageNet 0.1)."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the moving average of the weights, which is scored and kept; 0: none (not published)."""
    mixup: float = Field(default=0.0, ge=0, le=100)
    """Alpha of MixUp's shares; 0: none (not published)."""
    cutmix: float = Field(default=0.0, ge=0, le=100)
    """Alpha of CutMix's shares; 0: none (not published)."""
    class_weights: Annotated[Balance, ADDED] = "none"
    """What an image counts in the loss (balanced: N / (K n_c) of N images, K classes, n_c of the image's class)."""
    sampling: Annotated[Sampling, ADDED] = "uniform"
    """How an epoch draws its images: each once (uniform), or as many of every class (balanced)."""
    augment: AugmentConfig = AugmentConfig(cutout=None)
    """Augmentation of the training images; kind cifar has a cutout of half their side unless it is given."""


class EvaluationConfig(TrainConfig):
    """The short training of a derived network that scores it, with as many seeds as the score is a mean of."""

    seeds: Annotated[int, ADDED] = Field(default=1, ge=1, le=100)
    """Trainings of a derived network, each with a seed of its own; its score is their mean."""
    images: Annotated[Literal["searched", "all"], ADDED] = "searched"
    """Which images train: those of both halves (searched), or all that are not held out (all)."""
    epoch_images: Annotated[int | None, ADDED] = Field(default=None, ge=2)
    """Images of an epoch, which goes on where the last one ended: 5 epochs of 9000 go once through 45000; null: all."""

    @property
    def all_epochs(self) -> int:
        """Epochs of all its trainings together."""
        return self.seeds * self.epochs


SHORT_SCHEDULE: dict[str, Any] = {"channels": 16, "layers": 8, "epochs": 25, "drop_path": 0.1}
"""What `evaluation` is where a space says nothing: 8 cells and a short schedule, annealed to its end."""


def with_cutout(recipe: Any) -> Any:
    """The plain data of a recipe; where it says nothing of cutout, kind cifar keeps one that follows the images."""
    augment = recipe.get("augment", {}) if isinstance(recipe, dict) else None
    if not isinstance(augment, dict):
        return recipe
    cutout = None if augment.get("kind", "cifar") == "cifar" else 0
    return {**recipe, "augment": {"cutout": cutout, **augment}}


def _short(value: Any) -> Any:
    if isinstance(value, TrainConfig):  # from Python
        return value.model_dump()
    return {**SHORT_SCHEDULE, **value} if isinstance(value, dict) else value


Recipe = Annotated[TrainConfig, BeforeValidator(with_cutout)]
ShortRecipe = Annotated[EvaluationConfig, BeforeValidator(with_cutout), BeforeValidator(_short)]
