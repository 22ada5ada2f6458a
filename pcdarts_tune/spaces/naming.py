"""What things are called where people read them: a trial's run in MLflow, a setting in a table.

run_name(5, {"supernet.k": 4, "search.learning_rate": 0.1243}, 0.9634)      # "t05 acc=.963 K=4 lr=.124"
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pcdarts_tune.spaces.ranges import Range, is_logarithmic
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
    parts = [
        f"{short_name(key)}={short_value(hyperparameters[key])}" for key in ordered_keys(hyperparameters)
    ]
    return " ".join(parts[:most])


def run_name(
    number: int, hyperparameters: Mapping[str, Any], objective: float | None = None, state: str = ""
) -> str:
    """A trial's run: number, what came of it, settings; MLflow's column is narrow, so what matters comes first."""
    result = f"acc={short_value(float(objective))}" if objective is not None else state
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
