"""What a search space may say: frozen models of its sections, each field with its meaning, unit, bounds and source.

    from pcdarts_tune.config import Space
    space = Space(name="mine", search={"epochs": 30})
    space.search.arch_learning_rate     # 0.0006

Configuration stops at the door: the core takes plain values, never these models. Defaults are the published CIFAR-10
settings (PC-DARTS, arXiv 1907.05737) but for `evaluation`, the short training that scores a cell inside a trial. Rules
that join several fields, and the ranges in `tune`, are checked by checks.py when a `Space` is built.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from pcdarts_tune.errors import nearest
from pcdarts_tune.ranges import Range

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

# the paper's eight candidate operations, in its index order (DARTS sec. 3.1); core.genotype.DARTS_PRIMITIVES is the same
PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def _listed(value: Any) -> Any:
    """YAML and JSON have lists where the models have tuples."""
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Betas = Annotated[
    tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]], BeforeValidator(_listed)
]
Unit = Annotated[float, Field(ge=0, le=1)]
Jitter = Annotated[tuple[Unit, Unit, Unit, Annotated[float, Field(ge=0, le=0.5)]], BeforeValidator(_listed)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class DataConfig(BaseModel):
    """Which images, and how the training images are split."""

    model_config = STRICT
    dataset: Literal["digits", "fashion_mnist", "cifar10", "cifar100", "folder"] = Field(
        "cifar10",
        description="digits: scikit-learn's, embedded; folder: your own images, given with --data DIR",
    )
    split: Literal["tuning", "published"] = Field(
        "tuning",
        description="tuning: a held-out part scores the cells, the rest is halved into weights and alphas; "
        "published: two halves of everything, nothing held out (PC-DARTS sec. 4.1)",
    )
    held_out: Fraction | Count = Field(
        0.1,
        description="training images that neither weights nor alphas see: a fraction in (0, 1) or a number of images; "
        "not read with split: published",
    )
    split_seed: int = Field(
        0, ge=0, lt=2**32, description="seed of every drawn split; the same in all trials"
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="pixels a side that images are brought to; null: as found"
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the images made the test split where a set has none (digits, bare folder)",
    )
    download: bool = Field(True, description="fetch a missing torchvision data set where the network allows")
    memory_limit_gb: float = Field(
        8.0,
        gt=0,
        le=4096,
        description="GB of decoded images kept in memory; larger sets are streamed from disk",
    )
    weights_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of each class that trains the weights; null: half of what is not held out (0.1: ImageNet)",
    )
    alphas_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of each class that trains the alphas; null: half of what is not held out (0.025: ImageNet)",
    )


class AugmentConfig(BaseModel):
    """What is done to a training image, drawn anew for each image and epoch."""

    model_config = STRICT
    kind: Literal["cifar", "imagenet", "none"] = Field(
        "cifar",
        description="cifar: pad, crop, flip; imagenet: random resized crop to data.image_size, flip; none: normalise only",
    )
    crop_padding: int = Field(
        4, ge=0, le=64, description="pixels of zeros around the image before the random crop"
    )
    flip: bool = Field(
        True, description="mirror left and right with probability one half; not for digits or text"
    )
    cutout: int = Field(
        0, ge=0, le=512, description="side in pixels of a square set to 0 after normalising; 0: none"
    )
    color_jitter: Jitter | None = Field(
        None,
        description="[brightness, contrast, saturation, hue]; null: none ([.4, .4, .4, .2]: ImageNet retraining)",
    )


class SupernetConfig(BaseModel):
    """The network that is searched."""

    model_config = STRICT
    channels: int = Field(
        16, ge=1, le=1024, description="channels C of the first cells (16: PC-DARTS sec. 4.2)"
    )
    layers: int = Field(
        8, ge=3, le=64, description="cells; fewer than 3 would leave the normal cell without gradient"
    )
    nodes: int = Field(4, ge=2, le=8, description="intermediate nodes of a cell (4: DARTS sec. 3.1)")
    k: int = Field(
        4,
        ge=1,
        le=1024,
        description="K: one channel in K is searched, K divides channels; 1 is DARTS (4; ImageNet 2)",
    )
    stem: Literal["cifar", "imagenet"] = Field(
        "cifar", description="imagenet halves the image three times at once"
    )
    edge_normalization: bool = Field(
        True, description="learn a weight for each edge (beta, PC-DARTS sec. 3.3)"
    )
    mixing: Literal["shuffle", "shift", "random"] = Field(
        "shuffle",
        description="how the searched channels change from edge to edge (shuffle: the published code)",
    )
    primitives: Names = Field(PRIMITIVES, description="candidate operations, in index order (DARTS sec. 3.1)")

    @field_validator("primitives")
    @classmethod
    def _known(cls, primitives: tuple[str, ...]) -> tuple[str, ...]:
        from pcdarts_tune.core.ops import OPERATIONS  # torch: only when a space is read

        wrong = [
            f"{name!r} is no operation{nearest(name, OPERATIONS)}"
            for name in primitives
            if name not in OPERATIONS
        ]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}; legal: {', '.join(OPERATIONS)}")
        twice = sorted({name for name in primitives if primitives.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} listed more than once")
        if not set(primitives) - {"none"}:
            raise ValueError("a cell needs an operation other than 'none', which is never chosen")
        return primitives


class SearchConfig(BaseModel):
    """One search: how weights and architecture are trained (PC-DARTS sec. 4.2, DARTS sec. 3.1)."""

    model_config = STRICT
    epochs: int = Field(50, ge=1, le=10_000, description="passes over the weights half")
    batch_size: int = Field(256, ge=2, le=65_536, description="images a step, in both halves (DARTS 64)")
    learning_rate: float = Field(0.1, gt=0, le=10, description="SGD's, at the start (DARTS 0.025)")
    learning_rate_min: float = Field(0.0, ge=0, le=10, description="SGD's, at the cosine's end (DARTS 0.001)")
    lr_warmup_epochs: int = Field(
        0, ge=0, le=1000, description="epochs of linear warm-up of SGD (ImageNet 5)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's")
    weight_decay: float = Field(
        3e-4, ge=0, le=1, description="of the weights; worth reaching 1e-2 (RobustDARTS)"
    )
    grad_clip: float = Field(5.0, gt=0, le=1e6, description="largest norm of the weights' gradient")
    arch_learning_rate: float = Field(
        6e-4, gt=0, le=1, description="Adam's, of alphas and betas (DARTS 3e-4)"
    )
    arch_betas: Betas = Field((0.5, 0.999), description="Adam's decay rates for alphas and betas")
    arch_weight_decay: float = Field(
        1e-3, ge=0, le=1, description="of alphas and betas, added to the gradient"
    )
    arch_grad_clip: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="largest norm of the architecture's gradient; null: not clipped (ImageNet 5)",
    )
    arch_warmup_epochs: int = Field(
        15,
        ge=0,
        le=10_000,
        description="first epochs in which alphas and betas stay frozen (ImageNet 35, DARTS 0)",
    )
    order: Literal[1, 2] = Field(
        1, description="1: first order; 2: through one step of the weights (DARTS sec. 2.3)"
    )
    hessian: Literal["finite_difference", "exact"] = Field(
        "finite_difference",
        description="how second order takes its Hessian-vector product (finite_difference: DARTS)",
    )
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="of both halves")


class TrainConfig(BaseModel):
    """One training of a derived network from scratch (DARTS sec. 3.2, PC-DARTS sec. 4.2)."""

    model_config = STRICT
    channels: int = Field(36, ge=1, le=1024, description="channels C of the first cells (ImageNet 48)")
    layers: int = Field(20, ge=1, le=64, description="cells (ImageNet 14)")
    stem: Literal["cifar", "imagenet"] = Field(
        "cifar", description="imagenet halves the image three times at once"
    )
    epochs: int = Field(600, ge=1, le=10_000, description="passes over the training images (ImageNet 250)")
    batch_size: int = Field(96, ge=2, le=65_536, description="images a step (ImageNet 1024)")
    learning_rate: float = Field(0.025, gt=0, le=10, description="SGD's, at the start (ImageNet 0.5)")
    learning_rate_min: float = Field(0.0, ge=0, le=10, description="SGD's, at the cosine's end")
    lr_warmup_epochs: int = Field(0, ge=0, le=1000, description="epochs of linear warm-up (ImageNet 5)")
    schedule: Literal["cosine", "linear", "step"] = Field(
        "cosine", description="linear: PC-DARTS on ImageNet; step: 0.97 an epoch, DARTS on ImageNet"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's")
    weight_decay: float = Field(3e-4, ge=0, le=1, description="of the weights (ImageNet 3e-5)")
    grad_clip: float = Field(5.0, gt=0, le=1e6, description="largest norm of the gradient")
    drop_path: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="probability that a path is dropped, reached linearly at the end (DARTS 0.2)",
    )
    auxiliary: bool = Field(
        True, description="a second classifier after two thirds of the cells, in training only"
    )
    auxiliary_weight: float = Field(0.4, ge=0, le=10, description="of the auxiliary head's loss")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share spread over all classes (ImageNet 0.1)"
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


class Space(BaseModel):
    """A search space: everything that a sweep, a search or a retraining needs to know."""

    model_config = STRICT
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=100,
        description="letters, digits, and any of _ . -",
    )
    description: str = Field("", max_length=2000, description="one line for listings")
    objective: Literal["evaluation_accuracy"] = Field(
        "evaluation_accuracy",
        description="what Optuna maximises: the derived network's accuracy on held-out images, trained from scratch",
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of a sweep; a trial's is drawn from it and its number"
    )
    data: DataConfig = Field(default_factory=DataConfig, description="which images, and their splits")
    supernet: SupernetConfig = Field(
        default_factory=SupernetConfig, description="the network that is searched"
    )
    search: SearchConfig = Field(default_factory=SearchConfig, description="how it is searched")
    evaluation: Annotated[Recipe, BeforeValidator(_short)] = Field(
        default_factory=lambda: TrainConfig(**SHORT),
        description="the short training that scores a trial's cell; fixed, so that trials stay comparable",
    )
    retrain: Recipe = Field(default_factory=TrainConfig, description="the full training of the promoted cell")
    tune: dict[str, Range] = Field(
        default_factory=dict,
        description="what Optuna draws: a dotted key of supernet or search, and its range",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Space:
        from pcdarts_tune.checks import check

        # a range that hangs on a fixed value is the range for that value
        object.__setattr__(self, "tune", check(self))
        return self
