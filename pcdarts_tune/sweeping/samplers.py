"""How hyperparameters are proposed, by name. A sampler is made anew for each proposal, seeded by (sweep seed, number).

A sampler that Optuna re-creates with one seed replays its random numbers and proposes duplicates after a restart; one
made for each number draws after a restart what it would have drawn without it.

    sampler("tpe", seed=derived_seed(0, "proposal", 12), finished=11)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError, nearest

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 10
"""Trials that must have ended before TPE proposes; until then proposals are random. Optuna's own default."""


def sampler(name: str, seed: int, finished: int) -> optuna.samplers.BaseSampler:
    """The sampler called `name` for one proposal.

    Args:
        seed: of this proposal alone.
        finished: how many trials have ended.

    Raises:
        UserError: naming the samplers there are.
    """
    if name not in SAMPLERS:
        raise UserError(
            f"no sampler named {name!r}{nearest(name, SAMPLERS)}; there are {', '.join(SAMPLERS)}"
        )
    return SAMPLERS[name](seed, finished)


def _tpe(seed: int, finished: int) -> optuna.samplers.BaseSampler:
    import optuna

    if finished < STARTUP_TRIALS:
        return _random(seed, finished)
    return optuna.samplers.TPESampler(
        multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP_TRIALS, seed=seed
    )


def _random(seed: int, finished: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import BaseSampler, RandomSampler

    class KeyedRandomSampler(BaseSampler):
        """Each parameter's draw has a seed of its own: whichever were drawn before, the others come out the same."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            digest = hashlib.sha256(f"{seed}/{param_name}".encode()).digest()
            keyed = RandomSampler(seed=int.from_bytes(digest[:4], "big"))
            return keyed.sample_independent(study, trial, param_name, param_distribution)

    return KeyedRandomSampler()


SAMPLERS: dict[str, Callable[[int, int], optuna.samplers.BaseSampler]] = {"tpe": _tpe, "random": _random}
