"""CMA-ES (Hansen, arXiv 1604.00772) over the numbers that a space tunes, with its whole state in the study's trials.

The optimiser is built anew for each proposal and told, generation by generation, the trials that belong to it: nothing is
pickled (Optuna's own CmaEsSampler keeps a pickle in the study, which would run as code when it is read), and a resumed sweep
goes on as an undisturbed one. CMA-ES looks at ranks alone, so trials that failed or were pruned take part: they rank last.

A range that depends on another key takes part by the relative place in its range. A categorical key has no order and is
drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

from pcdarts_tune.configuration.ranges import numeric_keys
from pcdarts_tune.proposing.keyed import Keyed, key_of
from pcdarts_tune.proposing.unit import unit, value

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pcdarts_tune.configuration.ranges import Range

GENERATION = "pcdarts:cmaes_generation"
"""Trial attribute: the generation whose distribution a trial was drawn from."""
START_SIGMA = 1 / 6
"""Of the unit interval, as Optuna's sampler starts."""


class CmaEs(BaseSampler):
    """One proposal by CMA-ES.

    Args:
        tune: what is drawn, a number among it at least.
        seed: of this proposal. `sweep_seed`: of the optimiser, the same for all proposals of a sweep.
    """

    def __init__(self, tune: Mapping[str, Range], *, seed: int, sweep_seed: int) -> None:
        self._keys, self._seed, self._sweep_seed = numeric_keys(tune), seed, sweep_seed
        self._random = Keyed(seed)
        self._point: dict[str, float] = {}

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        finished = [known for known in study.get_trials(deepcopy=False) if known.state.is_finished()]
        optimizer = self._rebuilt(finished)
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, optimizer.generation)
        optimizer.reseed_rng(self._seed)
        self._point = dict(zip(self._keys, optimizer.ask().tolist(), strict=True))
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        at = self._point.get(key_of(param_name))
        if at is None:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        return value(at, param_distribution)

    def _rebuilt(self, finished: list[FrozenTrial]) -> Any:
        from cmaes import CMA

        dimensions = len(self._keys)
        optimizer = CMA(
            mean=np.full(dimensions, 0.5),
            sigma=START_SIGMA,
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            n_max_resampling=10 * dimensions,
            seed=self._sweep_seed % 2**32,
        )
        while True:
            generation = optimizer.generation
            drawn = [known for known in finished if known.system_attrs.get(GENERATION) == generation]
            if len(drawn) < optimizer.population_size:
                return optimizer
            order = sorted(drawn[: optimizer.population_size], key=badness)
            # ranks are all that counts; equal results get equal ranks
            ranks = {id(known): float(rank) for rank, known in enumerate(order)}
            optimizer.tell([(self._place(known), ranks[id(known)]) for known in order])

    def _place(self, known: FrozenTrial) -> Any:
        found = {
            key_of(name): unit(known.params[name], distribution)
            for name, distribution in known.distributions.items()
            if key_of(name) in self._keys
        }
        return np.array([found[key] for key in self._keys])


def badness(known: FrozenTrial) -> tuple[float, ...]:
    """To sort trials by, best first: complete ones by accuracy, those stopped at a rung by how far they came and their
    accuracy there, then the others."""
    if known.state.name == "COMPLETE":
        assert known.values is not None
        return (0.0, 0.0, -known.values[0], known.number)
    if known.intermediate_values:
        step, accuracy = max(known.intermediate_values.items())
        return (1.0, -float(step), -accuracy, known.number)
    return (2.0, 0.0, 0.0, known.number)
