"""A range as the unit interval, both ways: what samplers that think in [0, 1] draw from.

    value(0.5, FloatDistribution(1e-4, 1e-2, log=True))     # 0.001
    unit(0.001, FloatDistribution(1e-4, 1e-2, log=True))    # 0.5

Each value of an int, stepped or categorical range has an equal share of the interval; `unit` gives the middle of it.

Draws in which no parameter depends on another: random, or the next point of a Sobol sequence.

Each parameter's draw has a key of its own: whichever were drawn before, the others come out the same. So a proposal that
was half drawn when its driver died is completed as it would have been.

Optuna's Gaussian process, shown what was pruned or failed too.

Optuna's GPSampler looks at complete trials alone, so it would propose what fails again and again. It is given a copy of the
study, in memory, in which a trial that was stopped at a rung is complete with the worst value seen of each objective, and one
that ended otherwise with a worse one; the study itself stays as it is.

CMA-ES (Hansen, arXiv 1604.00772) over the numbers that a space tunes, with its whole state in the study's trials.

The optimiser is built anew for each proposal and told, generation by generation, the trials that belong to it: nothing is
pickled (Optuna's own CmaEsSampler keeps a pickle in the study, which would run as code when it is read), and a resumed sweep
goes on as an undisturbed one. CMA-ES looks at ranks alone, so trials that failed or were pruned take part: they rank last.

A range that depends on another key takes part by the relative place in its range. A categorical key has no order and is
drawn at random.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler
from optuna.trial import TrialState

from pcdarts_tune.spaces.tuning import numeric_keys

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from pcdarts_tune.spaces.ranges import Range

ALMOST_ONE = math.nextafter(1.0, 0.0)


def value(at: float, distribution: BaseDistribution) -> Any:
    """The value of `distribution` at `at`, 0 <= at <= 1 (clipped)."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    at = min(max(at, 0.0), ALMOST_ONE)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(at * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            return min(
                high, max(low, round(math.exp(_between(at, math.log(low - 0.5), math.log(high + 0.5)))))
            )
        return low + distribution.step * int(at * _count(distribution))
    if step is not None:
        return min(high, low + step * int(at * _count(distribution)))
    if distribution.log:
        return min(high, max(low, math.exp(_between(at, math.log(low), math.log(high)))))
    return _between(at, low, high)


def unit(known: Any, distribution: BaseDistribution) -> float:
    """Where in [0, 1] a value of `distribution` lies."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return (distribution.choices.index(known) + 0.5) / len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if isinstance(distribution, IntDistribution) and distribution.log:
        low, high = low - 0.5, high + 0.5
    elif isinstance(distribution, IntDistribution) or distribution.step is not None:
        assert distribution.step is not None
        return (round(float(known - low) / distribution.step) + 0.5) / _count(distribution)
    if distribution.log:
        return (math.log(known) - math.log(low)) / (math.log(high) - math.log(low))
    return float(known - low) / (high - low)


def _between(at: float, low: float, high: float) -> float:
    return low + at * (high - low)


def _count(distribution: Any) -> int:
    """How many values a stepped range has."""
    return round(float(distribution.high - distribution.low) / float(distribution.step)) + 1


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


class GaussianProcess(BaseSampler):
    """One proposal by a Gaussian process; random until `startup` trials have ended, and for ranges that depend on another
    key."""

    def __init__(self, *, seed: int, startup: int) -> None:
        self._seed, self._startup = seed, startup
        self._random = Keyed(seed)
        self._drawn: dict[str, Any] = {}

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        known = shown(study.get_trials(deepcopy=False), study.directions)
        if sum(told.state == TrialState.COMPLETE for told in known) < self._startup:
            return {}
        # it says with each first proposal that it would be faster with another package
        logging.getLogger("optuna._gp").setLevel(logging.ERROR)
        copy = optuna.create_study(directions=study.directions)
        copy.add_trials(known)
        copy.sampler = GPSampler(
            seed=self._seed, n_startup_trials=self._startup, independent_sampler=self._random
        )
        self._drawn = copy.ask(copy.sampler.infer_relative_search_space(copy, trial)).params
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        if param_name in self._drawn:
            return self._drawn[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def shown(trials: list[FrozenTrial], directions: Any) -> list[FrozenTrial]:
    """Trials as the Gaussian process shall see them: those that run as they are, those that ended as complete."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        return []
    of_each = list(zip(*(trial.values for trial in complete), strict=True))
    worst, worse = [], []
    for column, direction in zip(of_each, directions, strict=True):
        low, high = min(column), max(column)
        bad, sign = (low, -1) if direction == optuna.study.StudyDirection.MAXIMIZE else (high, 1)
        worst.append(bad)
        worse.append(bad + sign * max((high - low) / 2, 0.05 * abs(bad)))
    constrained = any(trial.constraints for trial in trials)
    out = []
    for trial in trials:
        running = trial.state == TrialState.RUNNING
        # a model of the constraints needs their values for every trial it is shown
        if not (running or trial.state.is_finished()) or (
            constrained and not running and not trial.constraints
        ):
            continue
        out.append(
            optuna.trial.create_trial(
                state=TrialState.RUNNING if running else TrialState.COMPLETE,
                params=trial.params,
                distributions=trial.distributions,
                values=None if running else _values(trial, worst, worse),
                constraints=trial.constraints or None,
            )
        )
    return out


def _values(trial: FrozenTrial, worst: list[float], worse: list[float]) -> list[float]:
    if trial.state == TrialState.COMPLETE:
        return list(trial.values or worst)
    return worst if trial.intermediate_values else worse


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
