"""How hyperparameters are proposed, by name. A sampler is made anew for each proposal, seeded by (sweep seed, number), and what
it needs to remember lies in the study: one that is created again with a single seed would propose duplicates.

    sampler("tpe", Occasion(seed=0, number=12, finished=11, tune=space.tune))
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcdarts_tune import plugins
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.values import SAMPLERS, is_class_path

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

STARTUP_TRIALS = 10
"""Trials that must have ended before a model proposes; until then proposals are random. Optuna's own default."""
POPULATION = 16
"""Trials of a generation of NSGA-II; Optuna's 50 would be random search in most sweeps."""


def is_slow(name: str) -> bool:
    """Whether a sampler may take seconds, as those of others: it works in a thread beside the driver's loop, see ray_tune.py."""
    return name == "gp" or name not in SAMPLERS


@dataclass(frozen=True)
class Occasion:
    """What a proposal may depend on, besides the study.

    Attributes:
        seed: the sweep's.
        number: of the trial that is proposed.
        finished: how many trials have ended.
        tune: what is drawn.
    """

    seed: int
    number: int
    finished: int
    tune: Mapping[str, Range]


def derived_seed(seed: int, *path: object) -> int:
    """A seed of its own for `path` (a trial's number, "evaluation", ...) under the sweep's seed: 0 <= value < 2**31."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def sampler(name: str, occasion: Occasion) -> BaseSampler:
    """The sampler called `name` for one proposal.

    TPE (tree-structured Parzen estimator) takes all parameters together, those that hang on another in groups; a trial that
    still runs counts as bad, so that trials at the same time differ.

    Raises:
        UserError: naming the samplers there are.
    """
    from optuna.samplers import NSGAIISampler, TPESampler

    from pcdarts_tune.sweeps.study.proposing import CmaEs, GaussianProcess, KeyedRandom, Sobol

    seed = derived_seed(occasion.seed, "proposal", occasion.number)
    match name:
        case "tpe" if occasion.finished >= STARTUP_TRIALS:
            return TPESampler(
                multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP_TRIALS, seed=seed
            )
        case "random" | "tpe":
            return KeyedRandom(seed)
        case "gp":
            return GaussianProcess(seed=seed, startup=STARTUP_TRIALS)
        case "nsga2":
            return NSGAIISampler(population_size=POPULATION, seed=seed)
        case "cmaes":
            return CmaEs(occasion.tune, seed=seed, sweep_seed=derived_seed(occasion.seed, "cmaes"))
        case "qmc":
            return Sobol(occasion.tune, derived_seed(occasion.seed, "qmc"))
    if is_class_path(name) or plugins.knows("samplers", name):
        from pcdarts_tune.sweeps.study.foreign import foreign_sampler

        return foreign_sampler(name, seed)
    raise UserError(
        f"no sampler named {name!r}{nearest(name, SAMPLERS)}; there are {', '.join(SAMPLERS)}",
        hint="--sampler tpe",
    )


def remarks(name: str, tune: Mapping[str, Range]) -> list[str]:
    """What a sampler does otherwise than one may expect with these ranges: lines for the person who chose it."""
    from pcdarts_tune.spaces.ranges import ConditionalRange
    from pcdarts_tune.spaces.tuning import numeric_keys

    if name == "cmaes" and (rest := sorted(set(tune) - set(numeric_keys(tune)))):
        return [f"cmaes draws {', '.join(rest)} at random: not numbers, or not always"]
    hanging = sorted(key for key, item in tune.items() if isinstance(item, ConditionalRange))
    if name in ("gp", "nsga2") and hanging:
        return [f"{name} draws {', '.join(hanging)} at random: the range depends on another key"]
    return []
