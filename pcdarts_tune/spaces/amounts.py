"""Names and numbers that options and spaces share; nothing heavy is imported for them.

>>> amount("600M")
600000000
"""

from __future__ import annotations

import re
from typing import Any, Literal

Objective = Literal["accuracy", "params", "macs", "latency"]
Sampler = Literal["tpe", "random", "gp", "nsga2", "cmaes", "qmc"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def amount(value: Any) -> Any:
    """`600M`, `4.2M`, `150k`, `1G` as a whole number; a number that is whole stays one.

    Raises:
        ValueError: for what is neither.
    """
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
