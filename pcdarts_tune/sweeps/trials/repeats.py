"""The searches of one trial, each with a seed of its own (`repeats` of a space), and what they come to together.

    outcome = join_repeats([{"repeat": 1, "seed": 11, "objective": 0.96, ...}, {"repeat": 2, ...}], seconds=80.0)
    outcome.objective, outcome.genotype         # their mean; the cells of the best of them

A trial ends with the first search that is stopped: a setting is worth what it gives with every seed. Its records carry
`"repeat": 2` from the second search on; those of the first are the records of a trial that searches once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.tasks import Outcome, TrialRecord

KEPT = ("genotype", "genotype_hash", "params", "macs", "latency", "constraints")
"""An outcome takes these from the record of the derived genotype."""
SCORED = ("standard_error", "seed_std", "held_out")
"""An outcome takes these from the evaluation, where the cache of an older version has them."""
_PREFIX = re.compile(r"repeat_\d+/")


def repeat_seed(seed: int, number: int) -> int:
    """The seed of a trial's search, numbered from 1; the first has the trial's own."""
    return seed if number == 1 else derived_seed(seed, "repeat", number)


def metric_name(name: str, record: Mapping[str, Any]) -> str:
    """What MLflow calls a number of a record: `search/loss_train`, of a trial's second search `repeat_2/search/loss_train`.

    Steps stay epochs, and the first search of every trial can be compared by one name.
    """
    number = record.get("repeat", 1)
    return name if number == 1 else f"repeat_{number}/{name}"


def plain_name(metric: str) -> str:
    """The metric's name without the search that it is of."""
    return _PREFIX.sub("", metric, count=1)


def repeat_of(metric: str) -> str:
    """The prefix by which `metric_name` marks the search, empty for the first."""
    found = _PREFIX.match(metric)
    return "" if found is None else found[0]


def describe_repeats(of: Outcome | TrialRecord) -> str:
    """` (mean of 3 searches, sd 0.0031)`; nothing for a trial that searched once."""
    if not of.repeats or of.objective is None:
        return ""
    std = of.metrics.get("repeats/std")
    return f" (mean of {len(of.repeats)} searches{'' if std is None else f', sd {std:.4f}'})"


def join_repeats(ended: Sequence[Mapping[str, Any]], *, of: int, seconds: float) -> Outcome:
    """The outcome of a trial whose searches ended as given.

    Args:
        ended: records of kind `repeat`, see trial.py; `stopped` in the last one where the trial was stopped there.
        of: how many searches a trial has.
    """
    last = ended[-1]
    if last["stopped"] is not None:
        where = f"search {last['repeat']} of {of}, seed {last['seed']}: " if of > 1 else ""
        return Outcome("pruned", reason=where + last["stopped"], **_known(last, ended, of), seconds=seconds)
    spread = Spread(tuple(each["objective"] for each in ended))
    best = max(ended, key=lambda each: (each["objective"], -each["params"], -each["repeat"]))
    outcome = _known(best, ended, of)
    if spread.std is not None:
        outcome["metrics"] = {**outcome["metrics"], "repeats/std": spread.std, "repeats/n": float(spread.n)}
    # of one search its own number, not a mean of it
    objective = spread.mean if of > 1 else best["objective"]
    return Outcome("complete", objective=objective, **outcome, seconds=seconds)


def _known(kept: Mapping[str, Any], ended: Sequence[Mapping[str, Any]], of: int) -> dict[str, Any]:
    """What an outcome takes from one search, and what it says of all of them where there are several."""
    known = {key: kept[key] for key in (*KEPT, *SCORED, "metrics") if key in kept}
    if of == 1:
        return {**known, "evaluation_from": kept["evaluation_from"]}
    # the searches' cells are scored on the same images, so their errors are not averaged away
    known |= {
        key: _quadratic_mean([each.get(key) for each in ended]) for key in ("standard_error", "seed_std")
    }
    keys = ("seed", "genotype_hash", "objective", "params", "macs", "evaluation_from")
    return {**known, "repeats": [{key: each[key] for key in keys} for each in ended]}


def _quadratic_mean(values: Sequence[float | None]) -> float | None:
    """None where one of the values is not known."""
    known = [value for value in values if value is not None]
    return math.sqrt(fmean(value * value for value in known)) if len(known) == len(values) else None
