"""Draws in which no parameter depends on another: random, or the next point of a Sobol sequence.

Each parameter's draw has a key of its own: whichever were drawn before, the others come out the same. So a proposal that
was half drawn when its driver died is completed as it would have been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler

from pcdarts_tune.proposing.unit import value

if TYPE_CHECKING:
    from pcdarts_tune.configuration.ranges import Range


def key_of(name: str) -> str:
    """`search.batch_size@supernet.k=4` -> `search.batch_size`: the tuned key behind one of Optuna's names."""
    return name.partition("@")[0]


class Independent(BaseSampler):
    """A sampler that draws each parameter by itself."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}


class Keyed(Independent):
    """Random draws, each seeded by (seed, the parameter's name)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        digest = hashlib.sha256(f"{self._seed}/{param_name}".encode()).digest()
        keyed = RandomSampler(seed=int.from_bytes(digest[:4], "big"))
        return keyed.sample_independent(study, trial, param_name, param_distribution)


class Sobol(Independent):
    """Point `number` of a scrambled Sobol sequence (Sobol 1967; Owen 1998): one coordinate for each tuned key, a range that
    depends on another key included.

    Args:
        seed: of the scrambling; the sweep's, so that all proposals are points of one sequence.
        number: of the point, from 0.
    """

    def __init__(self, tune: Mapping[str, Range], seed: int, number: int) -> None:
        self._keys, self._seed, self._number = sorted(tune), seed, number
        self._point: dict[str, float] | None = None

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if self._point is None:
            from scipy.stats.qmc import Sobol as Sequence

            sequence = Sequence(len(self._keys), scramble=True, rng=self._seed)
            if self._number:
                sequence.fast_forward(self._number)
            self._point = dict(zip(self._keys, sequence.random(1)[0].tolist(), strict=True))
        return value(self._point[key_of(param_name)], param_distribution)
