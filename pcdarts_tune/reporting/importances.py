"""Which settings decide whether a trial is among the best, and which way they should go.

PED-ANOVA (pedanova.py) compares how a setting is distributed among the best trials with how it is among all: what is far
more common among the best is important *for a higher accuracy*. (Optuna's evaluator with `target=` would take low for
better; a setting that only decides which trials are poor would then look important.)

    importances(records, space.tune).shares         # {"search.learning_rate": 0.71, "supernet.k": 0.2, ...}
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcdarts_tune.reporting.pedanova import Grid, divergence
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.tuning import varied

if TYPE_CHECKING:
    from pcdarts_tune.tasks import TrialRecord

EVALUATOR = "PED-ANOVA"
FEWEST = 10
"""Complete trials below which nothing is computed."""
ENOUGH = 50
"""Complete trials below which the figures are to be taken with care."""
BEST = 5
"""Trials that the best ones are at least: so many does the method ask for."""
SHARE = 0.2
"""Of the complete trials, the best ones."""
SHUFFLES = 40
"""How often accuracies are shuffled among the trials to see what chance alone gives."""


@dataclass(frozen=True)
class Importances:
    """Shares that add up to 1, by setting, largest first; empty where there are too few trials.

    Attributes:
        n: complete trials. `best`: how many of them count as the best.
        trend: Spearman's rank correlation with accuracy, of settings that have an order and differ; by setting.
        above_chance: the settings that differ more between the best and all than under 95 % of shuffled accuracies.
    """

    n: int
    best: int
    shares: dict[str, float] = field(default_factory=dict)
    trend: dict[str, float] = field(default_factory=dict)
    above_chance: tuple[str, ...] = ()

    @property
    def caution(self) -> str:
        """What a reader must know of how sure they are; empty where there are many trials."""
        if self.n >= ENOUGH:
            return ""
        return f"from {self.n} complete trials only: a hint, not a finding"


def importances(records: Sequence[TrialRecord], tune: Mapping[str, Range]) -> Importances:
    """Of the settings that differ; trials that are not complete are left out."""
    complete = [record for record in records if record.objective is not None]
    keys = [key for key in varied(tune) if all(key in record.hyperparameters for record in complete)]
    n, best = len(complete), max(BEST, math.ceil(SHARE * len(complete)))
    objectives = {record.objective for record in complete}
    trend = {key: rho for key in keys if (rho := _trend(complete, key)) is not None}
    if n < FEWEST or not keys or len(objectives) < 2:
        return Importances(n, best, {}, trend)
    grids = {key: Grid.of(tune[key], [r.hyperparameters[key] for r in complete]) for key in keys}
    cells = {key: grids[key].cells([r.hyperparameters[key] for r in complete]) for key in keys}
    values = [record.objective or 0.0 for record in complete]
    raw = _divergences(cells, grids, values, best)
    chance: dict[str, list[float]] = {key: [] for key in keys}
    shuffled, draw = list(values), random.Random(0)
    for _ in range(SHUFFLES):
        draw.shuffle(shuffled)
        for key, value in _divergences(cells, grids, shuffled, best).items():
            chance[key].append(value)
    total = math.fsum(raw.values()) or 1.0
    ordered = sorted(raw, key=lambda key: (-raw[key], key))
    above = tuple(key for key in ordered if sum(value >= raw[key] for value in chance[key]) <= SHUFFLES // 20)
    return Importances(n, best, {key: raw[key] / total for key in ordered}, trend, above)


def _divergences(
    cells: dict[str, list[int]], grids: dict[str, Grid], values: Sequence[float], best: int
) -> dict[str, float]:
    """How far each setting among the best is from that among all; as many count as best as share the last one's value."""
    worst = sorted(values, reverse=True)[best - 1]
    chosen = [i for i, value in enumerate(values) if value >= worst]
    return {key: divergence([where[i] for i in chosen], where, grids[key]) for key, where in cells.items()}


def _trend(complete: Sequence[TrialRecord], key: str) -> float | None:
    values = [record.hyperparameters[key] for record in complete]
    if len(complete) < 3 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    return spearman(values, [record.objective or 0.0 for record in complete])


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, equal values sharing their mean rank; None where one of them does not differ."""
    x, y = _ranks(a), _ranks(b)
    mean = (len(x) - 1) / 2
    above = math.fsum((p - mean) * (q - mean) for p, q in zip(x, y, strict=True))
    below = math.sqrt(math.fsum((p - mean) ** 2 for p in x) * math.fsum((q - mean) ** 2 for q in y))
    return above / below if below else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for place in order[start:stop]:
            ranks[place] = (start + stop - 1) / 2
        start = stop
    return ranks
