"""What a search space may say: frozen models of its sections, each field with its meaning, unit, bounds and source.

    Space(name="mine", search=SearchConfig(epochs=30)).search.arch_learning_rate     # 0.0006

The core takes plain values, never these models. Defaults are the published CIFAR-10 settings.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pcdarts_tune.core.cells.candidates import join_primitives
from pcdarts_tune.core.cells.selecting import count_decisions
from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, FAMILIES, AnyGenotype, random_genotype
from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.keys import ADDED, Listed, Section
from pcdarts_tune.spaces.known import DATASETS, check_operations, dataset_name, sampler_name
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.recipes import (
    SHORT_SCHEDULE,
    EvaluationConfig,
    Recipe,
    SearchConfig,
    ShortRecipe,
    TrainConfig,
)
from pcdarts_tune.spaces.rules import check
from pcdarts_tune.spaces.values import SAMPLERS, Aim, Objective, amount

Names = Annotated[tuple[str, ...], Listed, Field(max_length=64)]
EdgeNames = Annotated[tuple[Names, ...], Listed, Field(max_length=64)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[int, Field(gt=0, le=10**18)]
Objectives = Annotated[tuple[Objective, ...], Listed, Field(min_length=1, max_length=4)]
Rung = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)]
Rungs = Annotated[tuple[Rung, ...], Listed, Field(max_length=20)]
Level = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[tuple[Level, Level, Level], Listed]
Interval = Annotated[tuple[float, float], Listed]


class DataConfig(Section):
    """Which images, and how the training images are split."""

    dataset: Annotated[str, AfterValidator(dataset_name)] = Field(default="cifar10", examples=list(DATASETS))
    """Name of the data set: digits (scikit-learn's, embedded), fashion_mnist, cifar10, cifar100, folder (your own images,
    given with --data DIR), hub:OWNER/NAME (of Hugging Face's hub, with the extra hub), or that of a plug-in."""
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
    background: Annotated[Colour, ADDED] = (255, 255, 255)
    """[red, green, blue], 0..255, that shows through where images are transparent."""
    sample_range: Annotated[Interval | None, ADDED] = None
    """[low, high]: the samples that become black and white, of images with more than 8 bits a sample; null: the least and
    the largest of the training images."""
    duplicates: Annotated[Literal["keep", "drop", "refuse"], ADDED] = "keep"
    """What is done with images that occur more than once, said in any case: keep them, drop all but one (of a training and
    a test image, the training image), or refuse the set."""
    group: Annotated[str | None, ADDED] = Field(default=None, max_length=200)
    """What belongs together and is never split: a regular expression with one group, searched in the paths of the files
    (`(patient\\d+)_`), or the name of a parquet column; null: each image stands alone."""

    @field_validator("sample_range")
    @classmethod
    def _check_range(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        if interval is not None and not interval[0] < interval[1]:
            raise ValueError(f"[{interval[0]:g}, {interval[1]:g}] must rise: [low, high], such as [0, 4095]")
        return interval

    @field_validator("group")
    @classmethod
    def _check_group(cls, group: str | None) -> str | None:
        try:
            count = 1 if group is None or group.isidentifier() else re.compile(group).groups
        except re.error as error:
            raise ValueError(f"{group!r} is no regular expression: {error}") from None
        if count != 1:
            example = r"such as (patient\d+)_"
            raise ValueError(f"{group!r} has {count} groups; it must have one, in parentheses, {example}")
        return group


def _family(value: str) -> str:
    if value not in FAMILIES:
        raise ValueError(f"{value!r} is no family{nearest(value, FAMILIES)}; legal: {', '.join(FAMILIES)}")
    return value


class SupernetConfig(Section):
    """The network that is searched."""

    family: Annotated[str, ADDED, AfterValidator(_family)] = "darts"
    """Family of the cells: darts, those of DARTS and PC-DARTS, or nasbench201, those of NAS-Bench-201 (arXiv 2001.00326)."""
    channels: int = Field(default=16, ge=1, le=1024)
    """Channels C of the first cells (16: PC-DARTS sec. 4.2)."""
    layers: int = Field(default=8, ge=3, le=64)
    """Number of cells; fewer than 3 would leave the normal cell without gradient (nasbench201: of cells and both residual
    blocks, 3 N + 2)."""
    nodes: int = Field(default=4, ge=2, le=8)
    """Intermediate nodes of a cell (4: DARTS sec. 3.1; nasbench201: all nodes, always 4)."""
    k: int = Field(default=4, ge=1, le=1024)
    """K: one channel in K is searched, and K divides channels; 1 is DARTS (PC-DARTS 4, on ImageNet 2)."""
    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers; those of imagenet halve the image three times at once."""
    edge_normalization: bool = True
    """Whether a weight is learned for each edge (beta, PC-DARTS sec. 3.3)."""
    mixing: Literal["shuffle", "shift", "random"] = "shuffle"
    """How the searched channels change from edge to edge (shuffle: the published code)."""
    primitives: Names = DARTS_PRIMITIVES
    """Candidate operations, in index order; those of the family unless others are given."""
    edge_primitives: Annotated[dict[str, EdgeNames] | None, ADDED] = None
    """Candidate operations of each edge, where they differ (S1 of RobustDARTS, arXiv 1909.09656): for each kind of cell a
    list of lists, edges ordered by node, then predecessor; `primitives` are then all that occur. null: `primitives`."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_operations(cls, data: Any) -> Any:
        family = data.get("family") if isinstance(data, dict) else None
        if not isinstance(data, dict) or "primitives" in data:
            return data
        own = FAMILIES[family].primitives if isinstance(family, str) and family in FAMILIES else None
        if _lists_operations(data.get("edge_primitives")):
            return {**data, "primitives": join_primitives(data["edge_primitives"], own or DARTS_PRIMITIVES)}
        return data if own is None else {**data, "primitives": own}

    @field_validator("primitives")
    @classmethod
    def _check_operations(cls, primitives: tuple[str, ...]) -> tuple[str, ...]:
        check_operations(primitives)
        twice = sorted({name for name in primitives if primitives.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} listed more than once")
        if not set(primitives) - {"none"}:
            raise ValueError("a cell needs an operation other than 'none', which is never chosen")
        return primitives

    @model_validator(mode="after")
    def _check_edges(self) -> SupernetConfig:
        if self.edge_primitives is not None:
            joined = join_primitives(self.edge_primitives, self.primitives)
            if set(joined) != set(self.primitives):
                raise ValueError(
                    f"primitives must be those of edge_primitives, {', '.join(joined)}; got {', '.join(self.primitives)}"
                )
        return self

    def draw_genotype(self, seed: int) -> AnyGenotype:
        """`random_genotype` of these cells."""
        return random_genotype(
            seed,
            nodes=self.nodes,
            primitives=self.primitives,
            family=self.family,
            edge_primitives=self.edge_primitives,
        )


def _lists_operations(value: Any) -> bool:
    """Whether a value is of the form that `edge_primitives` has."""

    def listed(value: Any) -> bool:
        return isinstance(value, list | tuple)

    return isinstance(value, dict) and all(
        listed(lists) and all(listed(names) and all(isinstance(n, str) for n in names) for names in lists)
        for lists in value.values()
    )


class DeriveConfig(Section):
    """How a genotype is derived from a supernet."""

    method: Annotated[Literal["magnitude", "perturbation"], ADDED] = "magnitude"
    """What an operation is worth: its softmaxed alpha times beta (magnitude: DARTS, PC-DARTS), or what the supernet loses without
    it, decided edge by edge after the search (perturbation: DARTS-PT, arXiv 2108.04392)."""
    tune_epochs: Annotated[int, ADDED] = Field(default=5, ge=0, le=1000)
    """Epochs that the supernet trains between two decisions of a perturbation (5: DARTS-PT)."""
    max_skip_connections: int | None = Field(default=None, ge=0, le=16)
    """Most skip connections of the derived normal cell: the strongest stay, the others' weight is set to 0 and the cell
    derived again (P-DARTS, arXiv 1904.12760, sec. 3.3, which takes 2); null: any number."""


class ConstraintsConfig(Section):
    """Limits on the network that `retrain` builds from a genotype; a genotype beyond them is not evaluated."""

    max_params: Annotated[Amount | None, BeforeValidator(amount)] = None
    """Most parameters, such as 4.2M; null: any."""
    max_macs: Annotated[Amount | None, BeforeValidator(amount)] = None
    """Most multiply-adds an image, such as 600M (the mobile setting); null: any."""


class CollapseConfig(Section):
    """When a search has collapsed: skip connections have taken over its normal cell, or the cell of nasbench201 (DARTS+,
    arXiv 1909.06035; RobustDARTS, arXiv 1909.09656)."""

    skip_connections: int | None = Field(default=None, ge=1, le=16)
    """Skip connections in the normal cell (of 8 edges with 4 nodes; nasbench201: of 6) that end the trial; null: never."""
    after: float = Field(default=0.5, ge=0, lt=1)
    """Share of the search's epochs that are not looked at."""
    epochs: int = Field(default=3, ge=1, le=10_000)
    """Epochs in a row in which the cell must have so many skip connections."""


class HalvingConfig(Section):
    """Successive halving of evaluations, asynchronous (ASHA, arXiv 1810.05934), on their own held-out accuracy."""

    rungs: Rungs = ()
    """Where trials are compared: shares of the evaluation's epochs in (0, 1), or epochs; empty: nowhere."""
    keep: float = Field(default=0.34, gt=0, lt=1)
    """Share of the trials at a rung that go on, the best ones."""
    min_trials: int = Field(default=3, ge=1, le=10_000)
    """Trials that must have reached a rung before any ends there."""


class StoppingConfig(Section):
    """What ends a trial early; it is then `pruned`, with the reason."""

    collapse: CollapseConfig = CollapseConfig()
    """Of the search."""
    halving: HalvingConfig = HalvingConfig()
    """Of the evaluation."""


class Space(Section):
    """A search space: everything that a sweep, a search or a retraining needs to know."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    """Name of the space: letters, digits, and any of _ . -."""
    description: str = Field(default="", max_length=2000)
    """One line for listings."""
    objective: Aim = "accuracy"
    """The score of a derived network trained from scratch, which Optuna maximises. On the held-out images: accuracy after
    the last epoch, mean_accuracy over the last third of the epochs, balanced_accuracy (mean of the classes' recalls), loss
    (negative log-likelihood, maximised as -loss); on the training images of the last epoch: train_accuracy, train_loss
    (maximised as -loss). Or benchmark: no training, but the known accuracy in the table that `sweep --benchmark` names, to
    study samplers."""
    objectives: Objectives = ("accuracy",)
    """What Optuna aims at together: accuracy, which stands for the score that `objective` names, to be high; params, macs,
    latency (of the retraining network), to be low."""
    constraints: ConstraintsConfig = ConstraintsConfig()
    """Limits that a genotype must keep to."""
    sampler: Annotated[str, AfterValidator(sampler_name)] = Field(default="tpe", examples=list(SAMPLERS))
    """How Optuna proposes hyperparameters: tpe, random, gp, nsga2, cmaes, qmc, a class of Optuna's or OptunaHub's as
    module:Class (optuna.samplers:TPESampler, optunahub:samplers/auto_sampler:AutoSampler), or that of a plug-in."""
    repeats: Annotated[int, ADDED] = Field(default=1, ge=1, le=100)
    """Searches of a trial, each with a seed of its own and an evaluation; what counts is the mean of their scores."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of a sweep; a trial's is drawn from it and its number."""
    data: DataConfig = DataConfig()
    """Images and their splits."""
    supernet: SupernetConfig = SupernetConfig()
    """The network that is searched."""
    search: SearchConfig = SearchConfig()
    """How the supernet is searched."""
    derive: Annotated[DeriveConfig, ADDED] = DeriveConfig()
    """How a genotype is derived from what was searched."""
    evaluation: ShortRecipe = EvaluationConfig(**SHORT_SCHEDULE)
    """The short training that scores a trial's cell; fixed, so that trials stay comparable."""
    retrain: Recipe = TrainConfig()
    """The full training of the promoted cell."""
    stopping: StoppingConfig = StoppingConfig()
    """What ends a trial early."""
    tune: dict[str, Range] = {}
    """What Optuna draws: a dotted key of supernet or search, and its range."""

    @property
    def search_epochs(self) -> int:
        """Epochs of a trial's search: `search.epochs`, and those between the decisions of a perturbation."""
        epochs = self.search.trained_epochs
        if epochs and self.derive.method == "perturbation":
            decisions = count_decisions(FAMILIES[self.supernet.family], self.supernet.nodes)
            epochs += self.derive.tune_epochs * (decisions - 1)
        return epochs

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if "accuracy" not in objectives:
            why = "the cheapest network alone is always the same"
            raise ValueError(f"accuracy must be among the objectives: {why}")
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


def rung_epochs(rungs: tuple[float | int, ...], epochs: int) -> tuple[int, ...]:
    """Epochs after which trials are compared, of an evaluation of `epochs` epochs; a share that falls together with
    another or with the end is left out."""
    reached = [rung if isinstance(rung, int) else max(1, round(rung * epochs)) for rung in rungs]
    return tuple(sorted({at for at in reached if at < epochs}))
