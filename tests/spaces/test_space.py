"""The models: published defaults, bounds, rules that join fields, ranges and what is drawn from them."""

from __future__ import annotations

import json
import typing
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES
from pcdarts_tune.spaces.keys import section_of
from pcdarts_tune.spaces.ranges import (
    CategoricalRange,
    ConditionalRange,
    FloatRange,
    IntRange,
    Range,
    resolve,
)
from pcdarts_tune.spaces.recipes import AugmentConfig, SearchConfig, TrainConfig
from pcdarts_tune.spaces.sizes import resolve_recipe
from pcdarts_tune.spaces.space import DataConfig, Space, SupernetConfig
from pcdarts_tune.spaces.tuning import (
    assignments,
    dependency_order,
    encode,
    grid,
    propose,
    usual_trials,
    varied_keys,
)


def one_of(*choices: Any) -> CategoricalRange:
    return CategoricalRange(choices=choices)


BATCH_BY_K = ConditionalRange(
    by="supernet.k",
    ranges={"1": IntRange(low=32, high=64, step=32), "4": IntRange(low=32, high=256, step=32)},
)


# --- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [Space, DataConfig, AugmentConfig, SupernetConfig, SearchConfig, TrainConfig]
)
def test_every_field_is_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("model", [DataConfig, AugmentConfig, SupernetConfig, SearchConfig, TrainConfig])
def test_every_number_has_bounds(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *typing.get_args(field.annotation)}
        if kinds & {int, float} and section_of(field) is None:
            assert field.metadata, name


def test_defaults_are_published() -> None:
    space = Space(name="x")
    assert space.supernet.primitives == DARTS_PRIMITIVES
    assert (space.supernet.channels, space.supernet.layers, space.supernet.k) == (16, 8, 4)
    assert (space.retrain.channels, space.retrain.layers) == (36, 20)
    assert resolve_recipe(space.retrain, (32, 32)).augment.cutout == 16
    assert (space.evaluation.channels, space.evaluation.layers) == (16, 8)


def test_a_partly_given_evaluation_stays_short_and_keeps_its_cutout() -> None:
    space = Space.model_validate({"name": "x", "evaluation": {"epochs": 3, "augment": {"flip": False}}})
    assert (space.evaluation.layers, space.evaluation.epochs) == (8, 3)
    assert resolve_recipe(space.evaluation, (32, 32)).augment.cutout == 16
    assert not space.evaluation.augment.flip
    space = Space.model_validate({"name": "x", "retrain": {"augment": {"kind": "none"}}})
    assert space.retrain.augment.cutout == 0


def test_spaces_go_through_json_unchanged() -> None:
    tune: dict[str, Range] = {"supernet.k": one_of(1, 4), "search.batch_size": BATCH_BY_K}
    space = Space(name="x", tune=tune)
    assert Space.model_validate_json(space.model_dump_json()) == space
    assert Space.model_validate(json.loads(space.model_dump_json())) == space
    assert Space.model_validate(space.model_dump()) == space


def test_models_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Space(name="x").search.epochs = 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"search": {"epochs": 0}},
        {"search": {"epochs": True}},
        {"search": {"epochs": "3"}},
        {"search": {"learning_rate": float("nan")}},
        {"search": {"learning_rate": float("inf")}},
        {"search": {"arch_betas": [0.5]}},
        {"search": {"order": 3}},
        {"search": {"order": True}},
        {"search": {"order": 1.0}},
        {"supernet": {"layers": 2}},
        {"supernet": {"k": 3}},
        {"supernet": {"k": 32}},
        {"supernet": {"primitives": ["none"]}},
        {"supernet": {"primitives": []}},
        {"supernet": {"primitives": ["none", "skip_connect", "skip_connect"]}},
        {"supernet": {"primitives": ["none", "skip_conect"]}},
        {"supernet": {"stem": "imagenet", "channels": 15, "k": 1}},
        {"search": {"arch_warmup_epochs": 50}},
        {"search": {"lr_warmup_epochs": 50}},
        {"search": {"learning_rate_min": 0.2}},
        {"evaluation": {"layers": 2}},
        {"retrain": {"layers": 2}},
        {"retrain": {"stem": "imagenet", "channels": 35}},
        {"retrain": {"augment": {"kind": "imagenet"}}},
        {"retrain": {"augment": {"color_jitter": [0.4, 0.4, 0.4, 0.6]}}},
        {"data": {"held_out": 0}},
        {"data": {"held_out": 1.0}},
        {"data": {"held_out": True}},
        {"data": {"weights_fraction": 0.1}},
        {"data": {"weights_fraction": 0.6, "alphas_fraction": 0.5}},
        {"data": {"weights_fraction": 0.5, "alphas_fraction": 0.45}},
        {"objective": "supernet_accuracy"},
        {"name": "../x"},
    ],
    ids=str,
)
def test_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Space.model_validate({"name": "x", **wrong})


@pytest.mark.parametrize(
    "right",
    [
        {"supernet": {"k": 16}},
        {"supernet": {"k": 1}},
        {"supernet": {"channels": 15, "k": 5}},
        {"evaluation": {"layers": 3, "auxiliary": False}},
        {"data": {"held_out": 5000}},
        {"data": {"held_out": 0.5}},
        {"data": {"weights_fraction": 0.1, "alphas_fraction": 0.025, "held_out": 0.1}},
        {"search": {"arch_warmup_epochs": 49}},
        {"supernet": {"primitives": ["skip_connect", "sep_conv_7x7", "conv_7x1_1x7"]}},
        {"data": {"split": "published"}},
    ],
    ids=str,
)
def test_accepted(right: dict[str, Any]) -> None:
    Space.model_validate({"name": "x", **right})


# --- ranges ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"type": "float", "low": 1.0, "high": 1.0}, "below"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "above 0"),
        ({"type": "float", "low": 0.1, "high": 1.0, "log": True, "step": 0.1}, "exclude"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.3}, "lead"),
        ({"type": "float", "low": 0.0, "high": float("inf")}, "finite"),
        ({"type": "int", "low": 3, "high": 2}, "below"),
        ({"type": "int", "low": 1, "high": 4, "step": 2}, "lead"),
        ({"type": "int", "low": 1.5, "high": 4}, "integer"),
        ({"type": "int", "low": 0, "high": 10**30}, "less than"),
        ({"type": "categorical", "choices": []}, "empty"),
        ({"type": "categorical", "choices": [1, 2, 1]}, "more than once"),
        ({"type": "categorical", "choices": [1, 1.0]}, "more than once"),
        ({"type": "categorical", "choices": [1, "1"]}, "more than once"),
        ({"type": "categorical", "choices": [True, 1]}, "more than once"),
        ({"type": "categorical", "choices": [[1]]}, "choices"),
        ({"type": "conditional", "by": "supernet.k", "ranges": {}}, "at least 1"),
        ({"type": "uniform", "low": 1, "high": 2}, "uniform"),
        ({"low": 1, "high": 2}, "type"),
    ],
    ids=str,
)
def test_range_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TypeAdapter[Range](Range).validate_python(wrong)


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ({"supernet.k": one_of(2, 3)}, "K = 3 does not divide channels = 16"),
        ({"supernet.k": IntRange(low=1, high=8)}, "K = 3"),
        ({"supernet.channels": IntRange(low=8, high=24, step=2)}, "channels = 10"),
        ({"supernet.k": one_of(1, 8), "supernet.channels": one_of(16, 20)}, "K = 8 does not divide channels = 20"),
        ({"search.epochs": IntRange(low=10, high=60)}, "arch_warmup_epochs = 15 must be below epochs = 10"),
        ({"search.arch_warmup_epochs": IntRange(low=0, high=50)}, "below epochs = 50"),
        ({"search.epochs": FloatRange(low=20, high=60)}, "20.0 is not legal; must be a whole number"),
        ({"search.momentum": FloatRange(low=0.5, high=1.0)}, "below 1"),
        ({"search.order": one_of(1, 3)}, "3 is not legal"),
        ({"search.learning_rate": one_of(0.1, "0.2")}, "'0.2' is not legal"),
        ({"evaluation.epochs": IntRange(low=1, high=2)}, "comparable"),
        ({"retrain.epochs": IntRange(low=1, high=2)}, "comparable"),
        ({"data.split_seed": IntRange(low=1, high=2)}, "same data"),
        ({"seed": IntRange(low=1, high=2)}, "same data"),
        ({"search.augment": one_of(1)}, "a section"),
        ({"search.arch_betas": one_of(1)}, "a list"),
        ({"supernet.primitives": one_of("none")}, "a list"),
        ({"search.learning_rat": FloatRange(low=0.1, high=1.0)}, "did you mean 'search.learning_rate'"),
        ({"search.batch_size": ConditionalRange(by="supernet.kk", ranges={"4": one_of(32)})}, "mean 'supernet.k'"),
        ({"search.batch_size": ConditionalRange(by="supernet.k", ranges={"1": one_of(32)})}, "no range for supernet.k = 4"),
        ({"supernet.k": one_of(1, 2), "search.batch_size": BATCH_BY_K}, "no range for supernet.k = 2; supernet.k never is 4"),
        (
            {
                "search.momentum": FloatRange(low=0.5, high=0.9),
                "search.batch_size": ConditionalRange(by="search.momentum", ranges={"0.5": one_of(32)}),
            },
            "few values",
        ),
        ({"search.batch_size": ConditionalRange(by="search.batch_size", ranges={"1": one_of(32)})}, "circular"),
        (
            {
                "search.batch_size": ConditionalRange(by="supernet.k", ranges={"1": one_of(32)}),
                "supernet.k": ConditionalRange(by="search.batch_size", ranges={"32": one_of(1)}),
            },
            "circular",
        ),
        (
            {
                "supernet.k": one_of(1, 4),
                "search.batch_size": ConditionalRange(
                    by="supernet.k", ranges={"1": one_of(32), "4": IntRange(low=1, high=8)}
                ),
            },
            "1 is not legal; must be at least 2",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "+".join(value),
)  # fmt: skip
def test_tune_refused(tune: dict[str, Range], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        Space.model_validate({"name": "x", "tune": {key: item.model_dump() for key, item in tune.items()}})
    assert says in str(error.value)


def test_k_and_channels_are_checked_together_where_one_depends_on_the_other() -> None:
    channels = ConditionalRange(by="supernet.k", ranges={"3": one_of(12, 24), "4": one_of(16, 32)})
    tune: dict[str, Range] = {"supernet.k": one_of(3, 4), "supernet.channels": channels}
    Space(name="x", supernet=SupernetConfig(k=3, channels=12), tune=tune)
    with pytest.raises(ValidationError, match="K = 3 does not divide channels = 16"):
        Space(name="x", tune={**tune, "supernet.channels": one_of(12, 16)})


def test_a_published_split_cannot_be_tuned_on() -> None:
    with pytest.raises(ValidationError, match="nothing to maximise"):
        Space(name="x", data=DataConfig(split="published"), tune={"supernet.k": one_of(1, 2)})


def test_a_range_that_depends_on_a_fixed_key_is_the_one_for_its_value() -> None:
    space = Space(name="x", tune={"search.batch_size": BATCH_BY_K})
    assert space.tune["search.batch_size"] == BATCH_BY_K.ranges["4"]


# --- proposals ---------------------------------------------------------------------------------------------------


def chained() -> dict[str, Range]:
    """Listed against the order of their dependencies."""
    return {
        "search.epochs": ConditionalRange(
            by="search.batch_size",
            ranges={"32": IntRange(low=16, high=20), "64": one_of(30), "128": one_of(40)},
        ),
        "search.batch_size": ConditionalRange(
            by="supernet.k", ranges={"1": one_of(32, 64), "4": one_of(64, 128)}
        ),
        "search.learning_rate": FloatRange(low=0.01, high=1.0, log=True),
        "search.momentum": FloatRange(low=0.5, high=0.9, step=0.1),
        "supernet.k": one_of(1, 4),
        "supernet.edge_normalization": one_of(True, False),
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_optuna_draws_inside_the_ranges_and_finds_its_own_values_again(seed: int) -> None:
    space = Space(name="x", tune=chained())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    values = propose(space.tune, trial)
    assert list(values) == list(space.tune)
    for key, item in space.tune.items():
        assert resolve(item, values).contains(values[key])
    assert encode(space.tune, values) == trial.params
    study.enqueue_trial(encode(space.tune, values))
    assert propose(space.tune, study.ask()) == values


def test_names_carry_the_value_that_a_range_depends_on() -> None:
    values = {"supernet.k": 4, "search.batch_size": 64, "search.epochs": 30, "search.learning_rate": 0.1,
              "search.momentum": 0.9, "supernet.edge_normalization": True}  # fmt: skip
    assert set(encode(chained(), values)) == {
        "supernet.k",
        "search.batch_size@supernet.k=4",
        "search.epochs@search.batch_size=64",
        "search.learning_rate",
        "search.momentum",
        "supernet.edge_normalization",
    }
    with pytest.raises(ValueError, match="lies outside"):
        encode(chained(), {**values, "search.batch_size": 32})


def test_order_follows_dependencies() -> None:
    order = dependency_order(chained())
    assert order.index("supernet.k") < order.index("search.batch_size") < order.index("search.epochs")
    assert sorted(order) == sorted(chained())


def test_grid_and_what_varies() -> None:
    tune: dict[str, Range] = {
        "supernet.k": one_of(1, 4),
        "search.batch_size": BATCH_BY_K,
        "search.order": one_of(1),
    }
    combinations = grid(tune)
    assert combinations is not None
    assert len(combinations) == 2 + 8
    assert varied_keys(tune) == ("supernet.k", "search.batch_size")
    assert grid({"search.momentum": FloatRange(low=0.1, high=0.9)}) is None
    assert grid(tune, limit=9) is None
    assert grid({}) == [{}]
    assert (usual_trials(tune), usual_trials({})) == (len(combinations), 32)
    assert usual_trials({"search.momentum": FloatRange(low=0.1, high=0.9)}) == 32


def test_assignments_list_what_others_depend_on_whole() -> None:
    reached = list(assignments(chained(), ["search.batch_size"], every=False))
    assert {(at["supernet.k"], at["search.batch_size"]) for at in reached} == {
        (1, 32),
        (1, 64),
        (4, 64),
        (4, 128),
    }


@pytest.mark.parametrize(
    ("item", "inside", "outside"),
    [
        (
            FloatRange(low=0.1, high=0.7, step=0.2),
            [0.1, 0.3, 0.1 + 0.2 + 0.2, 0.7],
            [0.2, 0.8, "0.3", True, None],
        ),
        (FloatRange(low=0, high=1), [0, 0.5, 1], [-0.1, 1.1]),
        (IntRange(low=2, high=8, step=3), [2, 5, 8], [3, 11, 5.0, True]),
        (one_of(1, None, "a"), [1, None, "a"], [True, "1", 1.0, "b"]),
    ],
)
def test_contains(
    item: FloatRange | IntRange | CategoricalRange, inside: list[Any], outside: list[Any]
) -> None:
    assert all(map(item.contains, inside))
    assert not any(map(item.contains, outside))
