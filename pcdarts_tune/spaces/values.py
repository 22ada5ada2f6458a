"""Plain values as people write them, and the names and settings that commands and spaces share; imports nothing heavy.

>>> amount("600M"), label(True)
(600000000, 'true')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

Score = Literal["accuracy", "mean_accuracy", "balanced_accuracy", "loss", "train_accuracy", "train_loss"]
BENCHMARK: Literal["benchmark"] = "benchmark"
"""The objective of a sweep over cells of known accuracy: nothing is trained, the accuracy is looked up."""
Aim = Score | Literal["benchmark"]
"""What a space may name as its `objective`: a score, or `benchmark`."""
AIMS: tuple[str, ...] = (*get_args(Score), BENCHMARK)
Size = Literal["params", "macs", "latency"]
Objective = Literal["accuracy", "params", "macs", "latency"]
"""What a space may list as its objectives: `accuracy` is the score that it names, whichever that is; the others are sizes."""
Sampler = Literal["tpe", "random", "gp", "nsga2", "cmaes", "qmc"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)
"""The names of the samplers that come with this package."""
OPTUNAHUB = "optunahub:"
Scalar = bool | int | float | str | None
KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Setting:
    """A value that is set on top of a space.

    Attributes:
        key: dotted, `search.epochs`; `tune.search.epochs` for the range of a key.
        value: plain data, as YAML gives it.
        origin: how the person wrote it, `--set search.epochs=3`; an error message begins with it.
    """

    key: str
    value: Any
    origin: str


def amount(value: Any) -> Any:
    """`600M`, `4.2M`, `150k`, `1G` as a whole number; a number that is whole stays one. Raises ValueError:
    for what is neither."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kKMG]?)", str(value).strip())
    if found is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not legal; must be a whole number, such as 600M, 4.2M or 150k")
    exact = float(found[1]) * _UNITS[found[2].upper()]
    if abs(exact - round(exact)) > 1e-6 * max(1.0, exact):
        raise ValueError(f"{value!r} is not a whole number")
    return round(exact)


def is_class_path(value: str) -> bool:
    """Whether a name is written as `module:Class`, or `optunahub:PACKAGE:Class`."""
    package, sign, name = value.rpartition(":")
    if package.startswith(OPTUNAHUB):
        return (
            bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)*", package.removeprefix(OPTUNAHUB))) and name.isidentifier()
        )
    return bool(sign) and name.isidentifier() and all(part.isidentifier() for part in package.split("."))


def label(value: object) -> str:
    """The value as a key of `ranges` and in Optuna's names, the way YAML writes it: `true`, `4`, `0.5`, `null`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, float) else str(value)
