"""What a search space may say: frozen models of its sections, each field with its meaning, unit, bounds and source.

    from pcdarts_tune.spaces.space import Space
    space = Space(name="mine", search=SearchConfig(epochs=30))
    space.search.arch_learning_rate     # 0.0006

Configuration stops at the door: the core takes plain values, never these models. Defaults are the published CIFAR-10
settings. Rules that join several fields, and the ranges in `tune`, are checked by checks.py when a `Space` is built.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.amounts import Sampler
from pcdarts_tune.spaces.goals import ConstraintsConfig, Objectives, StoppingConfig
from pcdarts_tune.spaces.range_kinds import STRICT, Range, listed
from pcdarts_tune.spaces.recipes import SHORT, AugmentConfig, Recipe, SearchConfig, ShortRecipe, TrainConfig

__all__ = ["AugmentConfig", "DataConfig", "SearchConfig", "Space", "SupernetConfig", "TrainConfig"]

# the paper's eight candidate operations (DARTS sec. 3.1), as core.genotype.DARTS_PRIMITIVES has them, without torch
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
Names = Annotated[tuple[str, ...], BeforeValidator(listed), Field(max_length=64)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class DataConfig(BaseModel):
    """Which images, and how the training images are split."""

    model_config = STRICT
    dataset: Literal["digits", "fashion_mnist", "cifar10", "cifar100", "folder"] = Field(
        default="cifar10",
        description="digits: scikit-learn's, embedded; folder: your own images, given with --data DIR",
    )
    split: Literal["tuning", "published"] = Field(
        default="tuning",
        description="tuning: a held-out part scores the cells, the rest is halved into weights and alphas; "
        "published: two halves of everything, nothing held out (PC-DARTS sec. 4.1)",
    )
    held_out: Fraction | Count = Field(
        default=0.1,
        description="training images that neither weights nor alphas see: a fraction in (0, 1) or a number of images; "
        "not read with split: published",
    )
    split_seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of every drawn split; the same in all trials"
    )
    image_size: int | None = Field(
        default=None, ge=8, le=1024, description="pixels a side that images are brought to; null: as found"
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the images made the test split where a set has none (digits, bare folder)",
    )
    download: bool = Field(
        default=True, description="fetch a missing torchvision data set where the network allows"
    )
    memory_limit_gb: float = Field(
        default=8.0,
        gt=0,
        le=4096,
        description="GB of decoded images kept in memory; larger sets are streamed from disk",
    )
    max_unreadable: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of a split's files that may be damaged: they are named and left out, one file always; 0: none",
    )
    weights_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of each class that trains the weights; null: half of what is not held out (0.1: ImageNet)",
    )
    alphas_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of each class that trains the alphas; null: half of what is not held out (0.025: ImageNet)",
    )


class SupernetConfig(BaseModel):
    """The network that is searched."""

    model_config = STRICT
    channels: int = Field(
        default=16, ge=1, le=1024, description="channels C of the first cells (16: PC-DARTS sec. 4.2)"
    )
    layers: int = Field(
        default=8, ge=3, le=64, description="cells; fewer than 3 would leave the normal cell without gradient"
    )
    nodes: int = Field(default=4, ge=2, le=8, description="intermediate nodes of a cell (4: DARTS sec. 3.1)")
    k: int = Field(
        default=4,
        ge=1,
        le=1024,
        description="K: one channel in K is searched, K divides channels; 1 is DARTS (4; ImageNet 2)",
    )
    stem: Literal["cifar", "imagenet"] = Field(
        default="cifar", description="imagenet halves the image three times at once"
    )
    edge_normalization: bool = Field(
        default=True, description="learn a weight for each edge (beta, PC-DARTS sec. 3.3)"
    )
    mixing: Literal["shuffle", "shift", "random"] = Field(
        default="shuffle",
        description="how the searched channels change from edge to edge (shuffle: the published code)",
    )
    primitives: Names = Field(
        default=PRIMITIVES, description="candidate operations, in index order (DARTS sec. 3.1)"
    )

    @field_validator("primitives")
    @classmethod
    def _known(cls, primitives: tuple[str, ...]) -> tuple[str, ...]:
        known: Collection[str] = PRIMITIVES
        if not set(primitives) <= set(known):
            from pcdarts_tune.core.ops import OPERATIONS  # torch: only for operations other than the paper's

            known = OPERATIONS
        wrong = [
            f"{name!r} is no operation{nearest(name, known)}" for name in primitives if name not in known
        ]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}; legal: {', '.join(known)}")
        twice = sorted({name for name in primitives if primitives.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} listed more than once")
        if not set(primitives) - {"none"}:
            raise ValueError("a cell needs an operation other than 'none', which is never chosen")
        return primitives


class Space(BaseModel):
    """A search space: everything that a sweep, a search or a retraining needs to know."""

    model_config = STRICT
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=100,
        description="letters, digits, and any of _ . -",
    )
    description: str = Field(default="", max_length=2000, description="one line for listings")
    objectives: Objectives = Field(
        default=("accuracy",),
        description="what Optuna is told of a trial: accuracy (of the derived network on held-out images, trained from "
        "scratch), to be high; params, macs, latency (of the retraining network), to be low",
    )
    constraints: ConstraintsConfig = Field(
        default_factory=ConstraintsConfig, description="what a genotype must keep to"
    )
    sampler: Sampler = Field(default="tpe", description="how Optuna proposes hyperparameters")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of a sweep; a trial's is drawn from it and its number"
    )
    data: DataConfig = Field(default_factory=DataConfig, description="which images, and their splits")
    supernet: SupernetConfig = Field(
        default_factory=SupernetConfig, description="the network that is searched"
    )
    search: SearchConfig = Field(default_factory=SearchConfig, description="how it is searched")
    evaluation: ShortRecipe = Field(
        default_factory=lambda: TrainConfig(**SHORT),
        description="the short training that scores a trial's cell; fixed, so that trials stay comparable",
    )
    retrain: Recipe = Field(default_factory=TrainConfig, description="the full training of the promoted cell")
    stopping: StoppingConfig = Field(
        default_factory=StoppingConfig, description="what ends a trial before its time"
    )
    tune: dict[str, Range] = Field(
        default_factory=dict,
        description="what Optuna draws: a dotted key of supernet or search, and its range",
    )

    @field_validator("objectives")
    @classmethod
    def _aims(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if "accuracy" not in objectives:
            raise ValueError(
                "accuracy must be among the objectives: the cheapest network alone is always the same"
            )
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is listed more than once")
        return objectives

    @model_validator(mode="before")
    @classmethod
    def _older(cls, data: Any) -> Any:
        """Sweeps made before there were several objectives name the only one there was."""
        if isinstance(data, dict) and data.get("objective") == "evaluation_accuracy":
            return {key: value for key, value in data.items() if key != "objective"}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Space:
        from pcdarts_tune.spaces.checks import check

        # a range that hangs on a fixed value is the range for that value
        object.__setattr__(self, "tune", check(self))
        return self
