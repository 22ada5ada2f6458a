"""The recipes of a space: how images are altered, how a search trains, how a derived network trains.

Defaults are the published CIFAR-10 settings (PC-DARTS, arXiv 1907.05737; DARTS, arXiv 1806.09055), but for `evaluation`
(`SHORT`), the short training that scores a cell inside a trial.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from pcdarts_tune.spaces.range_kinds import STRICT, listed

Betas = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]], BeforeValidator(listed)
]
Unit = Annotated[float, Field(ge=0, le=1)]
Jitter = Annotated[tuple[Unit, Unit, Unit, Annotated[float, Field(ge=0, le=0.5)]], BeforeValidator(listed)]


class AugmentConfig(BaseModel):
    """What is done to a training image, drawn anew for each image and epoch."""

    model_config = STRICT
    kind: Literal["cifar", "imagenet", "none"] = Field(
        default="cifar",
        description="cifar: pad, crop, flip; imagenet: resized crop to data.image_size, flip; none: normalise only",
    )
    crop_padding: int = Field(
        default=4, ge=0, le=64, description="pixels of zeros around the image before the random crop"
    )
    flip: bool = Field(
        default=True, description="mirror left and right with probability one half; not for digits or text"
    )
    cutout: int = Field(
        default=0, ge=0, le=512, description="side in pixels of a square set to 0 after normalising; 0: none"
    )
    color_jitter: Jitter | None = Field(
        default=None,
        description="[brightness, contrast, saturation, hue]; null: none ([.4, .4, .4, .2]: ImageNet retraining)",
    )
    rand_augment: int = Field(
        default=0, ge=0, le=16, description="operations of RandAugment an image, in worker processes; 0: none"
    )
    rand_augment_magnitude: int = Field(
        default=9, ge=0, le=30, description="how strong they are; read with rand_augment"
    )


def _whole(value: Any) -> Any:
    """Python takes 1.0 and true for 1."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is not legal; must be one of 1, 2")
    return value


Order = Annotated[Literal[1, 2], BeforeValidator(_whole)]


class SearchConfig(BaseModel):
    """One search: how weights and architecture are trained (PC-DARTS sec. 4.2, DARTS sec. 3.1)."""

    model_config = STRICT
    epochs: int = Field(default=50, ge=1, le=10_000, description="passes over the weights half")
    batch_size: int = Field(
        default=256, ge=2, le=65_536, description="images a step, in both halves (DARTS 64)"
    )
    learning_rate: float = Field(default=0.1, gt=0, le=10, description="SGD's, at the start (DARTS 0.025)")
    learning_rate_min: float = Field(
        default=0.0, ge=0, le=10, description="SGD's, at the cosine's end (DARTS 0.001)"
    )
    lr_warmup_epochs: int = Field(
        default=0, ge=0, le=1000, description="epochs of linear warm-up of SGD (ImageNet 5)"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD's")
    weight_decay: float = Field(
        default=3e-4, ge=0, le=1, description="of the weights; worth reaching 1e-2 (RobustDARTS)"
    )
    grad_clip: float = Field(default=5.0, gt=0, le=1e6, description="largest norm of the weights' gradient")
    arch_learning_rate: float = Field(
        default=6e-4, gt=0, le=1, description="Adam's, of alphas and betas (DARTS 3e-4)"
    )
    arch_betas: Betas = Field(default=(0.5, 0.999), description="Adam's decay rates for alphas and betas")
    arch_weight_decay: float = Field(
        default=1e-3, ge=0, le=1, description="of alphas and betas, added to the gradient"
    )
    arch_grad_clip: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="largest norm of the architecture's gradient; null: not clipped (ImageNet 5)",
    )
    arch_warmup_epochs: int = Field(
        default=15,
        ge=0,
        le=10_000,
        description="first epochs in which alphas and betas stay frozen (ImageNet 35, DARTS 0)",
    )
    order: Order = Field(
        default=1, description="1: first order; 2: through one step of the weights (DARTS sec. 2.3)"
    )
    hessian: Literal["finite_difference", "exact"] = Field(
        default="finite_difference",
        description="how second order takes its Hessian-vector product (finite_difference: DARTS)",
    )
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="of both halves")


class TrainConfig(BaseModel):
    """One training of a derived network from scratch (DARTS sec. 3.2, PC-DARTS sec. 4.2)."""

    model_config = STRICT
    channels: int = Field(
        default=36, ge=1, le=1024, description="channels C of the first cells (ImageNet 48)"
    )
    layers: int = Field(
        default=20, ge=3, le=64, description="cells; with fewer than 3 one kind would not occur (ImageNet 14)"
    )
    stem: Literal["cifar", "imagenet"] = Field(
        default="cifar", description="imagenet halves the image three times at once"
    )
    epochs: int = Field(
        default=600, ge=1, le=10_000, description="passes over the training images (ImageNet 250)"
    )
    batch_size: int = Field(default=96, ge=2, le=65_536, description="images a step (ImageNet 1024)")
    learning_rate: float = Field(default=0.025, gt=0, le=10, description="SGD's, at the start (ImageNet 0.5)")
    learning_rate_min: float = Field(default=0.0, ge=0, le=10, description="SGD's, at the cosine's end")
    lr_warmup_epochs: int = Field(
        default=0, ge=0, le=1000, description="epochs of linear warm-up (ImageNet 5)"
    )
    schedule: Literal["cosine", "linear", "step"] = Field(
        default="cosine", description="linear: PC-DARTS on ImageNet; step: 0.97 an epoch, DARTS on ImageNet"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD's")
    weight_decay: float = Field(default=3e-4, ge=0, le=1, description="of the weights (ImageNet 3e-5)")
    grad_clip: float = Field(default=5.0, gt=0, le=1e6, description="largest norm of the gradient")
    drop_path: float = Field(
        default=0.3,
        ge=0,
        lt=1,
        description="probability that a path is dropped, reached linearly at the end (DARTS 0.2)",
    )
    auxiliary: bool = Field(
        default=True, description="a second classifier after two thirds of the cells, in training only"
    )
    auxiliary_weight: float = Field(default=0.4, ge=0, le=10, description="of the auxiliary head's loss")
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share spread over all classes (ImageNet 0.1)"
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="of the weights' moving average, which is scored and kept; 0: none (not published)",
    )
    mixup: float = Field(
        default=0.0, ge=0, le=100, description="alpha of MixUp's shares; 0: none (not published)"
    )
    cutmix: float = Field(
        default=0.0, ge=0, le=100, description="alpha of CutMix's shares; 0: none (not published)"
    )
    augment: AugmentConfig = Field(
        default_factory=lambda: AugmentConfig(cutout=16),
        description="of the training images; cutout 16 unless given",
    )


# what `evaluation` is where a space says nothing: 8 cells, its own short schedule annealed to the end (evidence.md)
SHORT: dict[str, Any] = {"channels": 16, "layers": 8, "epochs": 25, "drop_path": 0.1}


def _with_cutout(value: Any) -> Any:
    """A recipe that says something of `augment` but nothing of cutout keeps the recipe's cutout of 16."""
    if isinstance(value, dict) and isinstance(augment := value.get("augment"), dict):
        if augment.get("kind", "cifar") != "cifar":
            return value
        return {**value, "augment": {"cutout": 16, **augment}}
    return value


def _short(value: Any) -> Any:
    return {**SHORT, **value} if isinstance(value, dict) else value


Recipe = Annotated[TrainConfig, BeforeValidator(_with_cutout)]
ShortRecipe = Annotated[Recipe, BeforeValidator(_short)]
