"""What a search space may say: frozen models of its sections, each field with its meaning, unit, bounds and source.

    from pcdarts_tune.spaces.space import Space
    space = Space(name="mine", search=SearchConfig(epochs=30))
    space.search.arch_learning_rate     # 0.0006

The core takes plain values, never these models. Defaults are the published CIFAR-10 settings. Building a `Space` also checks
what its fields must hold together (`rules`) and that the ranges in `tune` fit the fields they tune (`tuning`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES
from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.goals import ConstraintsConfig, Objectives, StoppingConfig
from pcdarts_tune.spaces.keys import Listed, Section
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.recipes import SHORT_SCHEDULE, Recipe, SearchConfig, ShortRecipe, TrainConfig
from pcdarts_tune.spaces.rules import check
from pcdarts_tune.spaces.values import Sampler

Names = Annotated[tuple[str, ...], Listed, Field(max_length=64)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class DataConfig(Section):
    """Which images, and how the training images are split."""

    dataset: Literal["digits", "fashion_mnist", "cifar10", "cifar100", "folder"] = "cifar10"
    """Name of the data set (digits: scikit-learn's, embedded; folder: your own images, given with --data DIR)."""
    split: Literal["tuning", "published"] = "tuning"
    """How the training images are split: a held-out part scores the cells and the rest is halved into weights and alphas
    (tuning), or two halves of everything and nothing held out (published, PC-DARTS sec. 4.1)."""
    held_out: Fraction | Count = 0.1
    """Training images that neither weights nor alphas see: a fraction in (0, 1) or a number of images; not read with
    split: published."""
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of every drawn split; the same in all trials."""
    image_size: int | None = Field(default=None, ge=8, le=1024)
    """Pixels a side that images are brought to; null: as found."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the images made the test split where a set has none (digits, bare folder)."""
    download: bool = True
    """Whether a missing torchvision data set is fetched where the network allows."""
    memory_limit_gb: float = Field(default=8.0, gt=0, le=4096)
    """GB of decoded images kept in memory; larger sets are streamed from disk."""
    max_unreadable: float = Field(default=0.01, ge=0, le=1)
    """Share of a split's files that may be damaged: they are named and left out, one file always; 0: none."""
    weights_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Share of each class that trains the weights; null: half of what is not held out (0.1: ImageNet)."""
    alphas_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Share of each class that trains the alphas; null: half of what is not held out (0.025: ImageNet)."""


class SupernetConfig(Section):
    """The network that is searched."""

    channels: int = Field(default=16, ge=1, le=1024)
    """Channels C of the first cells (16: PC-DARTS sec. 4.2)."""
    layers: int = Field(default=8, ge=3, le=64)
    """Number of cells; fewer than 3 would leave the normal cell without gradient."""
    nodes: int = Field(default=4, ge=2, le=8)
    """Intermediate nodes of a cell (4: DARTS sec. 3.1)."""
    k: int = Field(default=4, ge=1, le=1024)
    """K: one channel in K is searched, and K divides channels; 1 is DARTS (PC-DARTS 4, on ImageNet 2)."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers; those of imagenet halve the image three times at once."""
    edge_normalization: bool = True
    """Whether a weight is learned for each edge (beta, PC-DARTS sec. 3.3)."""
    mixing: Literal["shuffle", "shift", "random"] = "shuffle"
    """How the searched channels change from edge to edge (shuffle: the published code)."""
    primitives: Names = DARTS_PRIMITIVES
    """Candidate operations, in index order (DARTS sec. 3.1)."""

    @field_validator("primitives")
    @classmethod
    def _check_operations(cls, primitives: tuple[str, ...]) -> tuple[str, ...]:
        known: Collection[str] = DARTS_PRIMITIVES
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


class Space(Section):
    """A search space: everything that a sweep, a search or a retraining needs to know."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    """Name of the space: letters, digits, and any of _ . -."""
    description: str = Field(default="", max_length=2000)
    """One line for listings."""
    objectives: Objectives = ("accuracy",)
    """What Optuna aims at: accuracy (of the derived network on held-out images, trained from scratch), to be high;
    params, macs, latency (of the retraining network), to be low."""
    constraints: ConstraintsConfig = ConstraintsConfig()
    """Limits that a genotype must keep to."""
    sampler: Sampler = "tpe"
    """How Optuna proposes hyperparameters."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of a sweep; a trial's is drawn from it and its number."""
    data: DataConfig = DataConfig()
    """Images and their splits."""
    supernet: SupernetConfig = SupernetConfig()
    """The network that is searched."""
    search: SearchConfig = SearchConfig()
    """How the supernet is searched."""
    evaluation: ShortRecipe = TrainConfig(**SHORT_SCHEDULE)
    """The short training that scores a trial's cell; fixed, so that trials stay comparable."""
    retrain: Recipe = TrainConfig()
    """The full training of the promoted cell."""
    stopping: StoppingConfig = StoppingConfig()
    """What ends a trial early."""
    tune: dict[str, Range] = {}
    """What Optuna draws: a dotted key of supernet or search, and its range."""

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if "accuracy" not in objectives:
            raise ValueError(
                "accuracy must be among the objectives: the cheapest network alone is always the same"
            )
        if len(set(objectives)) < len(objectives):
            raise ValueError("an objective is listed more than once")
        return objectives

    @model_validator(mode="before")
    @classmethod
    def _accept_older(cls, data: Any) -> Any:
        """Sweeps made before there were several objectives name the only one there was."""
        if isinstance(data, dict) and data.get("objective") == "evaluation_accuracy":
            return {key: value for key, value in data.items() if key != "objective"}
        return data

    @model_validator(mode="after")
    def _check_together(self) -> Space:
        # a range that depends on a fixed value is the range for that value
        object.__setattr__(self, "tune", check(self))
        return self
