"""The order that ranges are drawn in, the names Optuna knows them by, and what they can reach.

    tune = {"supernet.k": CategoricalRange(choices=(1, 4)), "search.batch_size": ConditionalRange(by="supernet.k", ...)}
    values = propose(tune, optuna_trial)       # {"supernet.k": 4, "search.batch_size": 192}

Optuna fixes a name's distribution for the whole study, so a range that depends on another choice gets a name for each
value of it: `search.batch_size@supernet.k=4`. Configuration and MLflow see only the key. Nothing here imports Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pcdarts_tune.spaces.range_kinds import (
    MOST_VALUES,
    CategoricalRange,
    Concrete,
    ConditionalRange,
    FloatRange,
    IntRange,
    Range,
    Suggest,
    label,
)

__all__ = [
    "CategoricalRange",
    "ConditionalRange",
    "FloatRange",
    "IntRange",
    "Range",
    "Suggest",
    "assignments",
    "encode",
    "grid",
    "label",
    "numeric_keys",
    "optuna_name",
    "ordered",
    "propose",
    "varied",
]


def ordered(tune: Mapping[str, Range]) -> list[str]:
    """The tuned keys, each after the key it depends on, else as given. Raises ValueError on a circle, naming it."""
    done: list[str] = []
    for key in tune:
        chain: list[str] = []
        at: str | None = key
        while at is not None and at in tune and at not in done:
            if at in chain:
                raise ValueError("circular: " + " <- ".join([*chain[chain.index(at) :], at]))
            chain.append(at)
            item = tune[at]
            at = item.by if isinstance(item, ConditionalRange) else None
        done += reversed(chain)
    return done


def optuna_name(key: str, item: Range, values: Mapping[str, Any]) -> str:
    """`search.batch_size`, or `search.batch_size@supernet.k=4` where the range depends on another key."""
    return f"{key}@{item.by}={label(values[item.by])}" if isinstance(item, ConditionalRange) else key


def propose(tune: Mapping[str, Range], suggest: Suggest) -> dict[str, Any]:
    """One value for each tuned key, drawn in the order of their dependencies; given in the order of `tune`."""
    values: dict[str, Any] = {}
    for key in ordered(tune):
        values[key] = tune[key].resolve(values).suggest(optuna_name(key, tune[key], values), suggest)
    return {key: values[key] for key in tune}


def encode(tune: Mapping[str, Range], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` under Optuna's names, for `study.enqueue_trial`. Raises ValueError where one lies outside its range."""
    encoded: dict[str, Any] = {}
    for key in ordered(tune):
        item = tune[key]
        concrete = item.resolve(values)
        if not concrete.contains(values[key]):
            raise ValueError(f"{key}: {label(values[key])} lies outside its range, {concrete}")
        encoded[optuna_name(key, item, values)] = values[key]
    return encoded


def assignments(tune: Mapping[str, Range], keys: Sequence[str], *, every: bool) -> Iterator[dict[str, Any]]:
    """What `keys` (and the keys they depend on) can be together: all values, or only the ends of each range.

    A key that others depend on is always listed whole. Keys that are not tuned are left out. A range without end
    gives its ends.
    """
    wanted: list[str] = []
    for key in keys:
        while key in tune:
            wanted.append(key)
            item = tune[key]
            if not isinstance(item, ConditionalRange):
                break
            key = item.by
    whole = {item.by for item in tune.values() if isinstance(item, ConditionalRange)}
    order = [key for key in ordered(tune) if key in wanted]

    def grow(values: dict[str, Any], left: list[str]) -> Iterator[dict[str, Any]]:
        if not left:
            yield values
            return
        concrete = tune[left[0]].resolve(values)
        listed = concrete.every() if every or left[0] in whole else None
        for value in concrete.ends() if listed is None else listed:
            yield from grow({**values, left[0]: value}, left[1:])

    return grow({}, order)


def grid(tune: Mapping[str, Range], *, limit: int = MOST_VALUES) -> list[dict[str, Any]] | None:
    """Every combination, where all ranges are finite and there are at most `limit`; else None."""
    parts: list[Concrete] = []
    for item in tune.values():
        parts += item.ranges.values() if isinstance(item, ConditionalRange) else [item]
    if any(part.every() is None for part in parts):
        return None
    combinations = list(islice(assignments(tune, list(tune), every=True), limit + 1))
    return combinations if len(combinations) <= limit else None


def varied(tune: Mapping[str, Range]) -> tuple[str, ...]:
    """The keys that differ between trials; the others are constants, and only clutter a table of parameters."""

    def values(item: Range) -> set[str]:
        parts = item.ranges.values() if isinstance(item, ConditionalRange) else (item,)
        return {label(value) for part in parts for value in part.ends()}

    return tuple(key for key, item in tune.items() if len(values(item)) > 1)


def numeric_keys(tune: Mapping[str, Range]) -> list[str]:
    """The tuned keys that are numbers whatever else is drawn, sorted."""

    def numeric(item: Range) -> bool:
        parts = item.ranges.values() if isinstance(item, ConditionalRange) else (item,)
        return not any(isinstance(part, CategoricalRange) for part in parts)

    return sorted(key for key, item in tune.items() if numeric(item))
