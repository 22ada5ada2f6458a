"""Spaces, settings and numbers as text for people: short names, a trial's run in MLflow, a space as YAML.

run_name(5, {"supernet.k": 4, "search.learning_rate": 0.1243}, 0.9634)      # "t05 acc=.963 K=4 lr=.124"
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pcdarts_tune.errors import visible
from pcdarts_tune.spaces.keys import flatten, lookup
from pcdarts_tune.spaces.ranges import Range, is_logarithmic
from pcdarts_tune.spaces.scores import score_short
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import varied_keys
from pcdarts_tune.spaces.values import label

SHORT_NAMES = {
    "supernet.k": "K",
    "supernet.channels": "C",
    "supernet.layers": "cells",
    "supernet.edge_normalization": "EN",
    "supernet.mixing": "mix",
    "search.batch_size": "b",
    "search.learning_rate": "lr",
    "search.arch_learning_rate": "alr",
    "search.weight_decay": "wd",
    "search.arch_weight_decay": "awd",
    "search.arch_warmup_epochs": "warm",
    "search.epochs": "ep",
    "search.order": "order",
}
"""Short names of settings, those that matter most first; another is called by the last part of its key."""


def short_name(key: str) -> str:
    """`search.learning_rate` -> `lr`."""
    return SHORT_NAMES.get(key, key.rpartition(".")[2])


def short_value(value: Any) -> str:
    """`0.1243` -> `.124`, `0.00061` -> `6.1e-4`, `True` -> `on`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, float) or not math.isfinite(value):
        return label(value)
    if value and not 1e-2 <= abs(value) < 1e4:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.3g}".removeprefix("0") or "0"


def short_count(count: int | None) -> str:
    """`3612426` -> `3.61M`; nothing for None."""
    if count is None:
        return ""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def ordered_keys(keys: Iterable[str]) -> list[str]:
    """The keys, those with a short name first."""
    order = list(SHORT_NAMES)
    return sorted(keys, key=lambda key: (order.index(key) if key in order else len(order), key))


def format_settings(hyperparameters: Mapping[str, Any], most: int | None = None) -> str:
    """`K=4 lr=.124 b=256`: the settings of a trial in a few words."""
    keys = ordered_keys(hyperparameters)[:most]
    return " ".join(f"{short_name(key)}={short_value(hyperparameters[key])}" for key in keys)


def run_name(
    number: int,
    hyperparameters: Mapping[str, Any],
    objective: float | None = None,
    state: str = "",
    score: str = "accuracy",
) -> str:
    """A trial's run: number, what came of it, settings; MLflow's column is narrow, so what matters comes first."""
    result = f"{score_short(score)}={short_value(float(objective))}" if objective is not None else state
    return " ".join(part for part in (f"t{number:02d}", result, format_settings(hyperparameters, 5)) if part)


def run_parameters(tune: Mapping[str, Range], hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """What MLflow keeps as parameters: what differs between trials, as numbers it can plot, and `log10_…` of
    what is drawn on a logarithmic scale (its parallel coordinates have none)."""
    keys = [key for key in ordered_keys(varied_keys(tune)) if key in hyperparameters]
    values = {key: label(hyperparameters[key]) for key in keys}
    for key in keys:
        value = hyperparameters[key]
        if is_logarithmic(tune[key]) and value > 0:
            values[f"log10_{key}"] = f"{math.log10(value):.6g}"
    return values


def plotted_parameter(tune: Mapping[str, Range], key: str) -> str:
    """The parameter to plot for a setting: its logarithm where it is drawn on a logarithmic scale."""
    return f"log10_{key}" if is_logarithmic(tune[key]) else key


def format_number(value: float) -> str:
    """`0.97220001` -> `0.9722`, `120931.0` -> `120,931`."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def constants(space: Space) -> dict[str, Any]:
    """The values that no trial changes, by dotted key; lists as tuples."""
    dumped = space.model_dump(exclude={"tune"})
    return {key: value for key, value in flatten(dumped).items() if key not in space.tune}


def describe(space: Space) -> str:
    """The space in a few lines: what it is, what differs from the published CIFAR-10 setting, and what is tuned."""
    published = flatten(Space(name="published").model_dump(exclude={"tune"}))
    own = flatten(space.model_dump(exclude={"tune", "name", "description"}))
    title = visible(f"{space.name}: {space.description}".rstrip(": "))
    changed = [f"  {key} = {_text(value, 120)}" for key, value in own.items() if published.get(key) != value]
    tuned = [f"  {key}: {item}; starts at {_text(lookup(space, key))}" for key, item in space.tune.items()]
    lines = [title, "", "set (the rest as published for CIFAR-10):", *(changed or ["  nothing"]), ""]
    return "\n".join([*lines, "tuned:" if tuned else "tuned: nothing", *tuned])


def to_yaml(space: Space, encoding: str = "utf-8") -> str:
    """The whole space as YAML that can be read again, under what is worth knowing of it as comments; in ASCII where the
    encoding that it will be written in is not the one that spaces are read in."""
    import yaml

    comments = [f"# {line}".rstrip() for line in describe(space).splitlines()]
    values = space.model_dump(mode="json")
    ascii_only = codecs.lookup(encoding).name not in ("utf-8", "ascii")
    if ascii_only:
        comments = [line.encode("ascii", "backslashreplace").decode("ascii") for line in comments]
    readable = visible(space.description) == space.description and not ascii_only
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110, allow_unicode=readable)
    return "\n".join([*comments, "", text.rstrip()])


def _text(value: Any, most: int = 1000) -> str:
    def text(part: Any) -> str:
        return f"[{', '.join(map(text, part))}]" if isinstance(part, tuple) else label(part)

    found = text(value)
    return found if len(found) <= most else f"{found[: most - 1]}…"
