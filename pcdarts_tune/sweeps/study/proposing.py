"""Samplers that adapt Optuna's to a sweep: random draws with a key for each parameter, a Sobol sequence over conditional ranges
too, a Gaussian process that learns from failures, and CMA-ES without a pickle. samplers.py makes one for each proposal.

    study.sampler = CmaEs(space.tune, seed=derived_seed(0, "proposal", 12), sweep_seed=derived_seed(0, "cmaes"))
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from pcdarts_tune.spaces.ranges import ConditionalRange, Range
from pcdarts_tune.spaces.tuning import numeric_keys


class KeyedRandom(BaseSampler):
    """Random draws, each seeded by (seed, the parameter's name): whichever were drawn before, the others come out the same.
    A proposal that was half drawn when its driver died is completed as it would have been."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        digest = hashlib.sha256(f"{self._seed}/{param_name}".encode()).digest()
        keyed = RandomSampler(seed=int.from_bytes(digest[:4], "big"))
        return keyed.sample_independent(study, trial, param_name, param_distribution)


class Sobol(QMCSampler):
    """Optuna's scrambled Sobol sequence (Sobol 1967; Owen 1998) with one coordinate for every range, those that depend on
    another key included. Optuna itself takes the coordinates from the trial that ended first, which depends on chance."""

    def __init__(self, tune: Mapping[str, Range], seed: int) -> None:
        super().__init__(scramble=True, seed=seed)
        self._tune = tune

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        draft = optuna.create_study(sampler=RandomSampler(0)).ask()
        for key, item in sorted(self._tune.items()):
            if isinstance(item, ConditionalRange):
                for value, part in item.ranges.items():
                    part.suggest(f"{key}@{item.by}={value}", draft)
            else:
                item.suggest(key, draft)
        return {name: kind for name, kind in draft.distributions.items() if not kind.single()}


class GaussianProcess(GPSampler):
    """Optuna's Gaussian process, which looks at complete trials alone and so would propose what fails again and again. It is
    given a copy of the study in memory, in which trials that were pruned or failed are complete with bad values."""

    def __init__(self, *, seed: int, startup: int) -> None:
        super().__init__(
            seed=seed,
            n_startup_trials=startup,
            independent_sampler=KeyedRandom(seed),
            warn_independent_sampling=False,
        )

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        # it logs with each first proposal that it would be faster with another package
        logging.getLogger("optuna._gp").setLevel(logging.ERROR)
        copy = optuna.create_study(directions=study.directions, sampler=RandomSampler())
        copy.add_trials(complete_trials(study.get_trials(deepcopy=False), study.directions))
        return super().sample_relative(copy, copy._storage.get_trial(copy.ask()._trial_id), search_space)


def complete_trials(trials: list[FrozenTrial], directions: Any) -> list[FrozenTrial]:
    """Copies of the trials for a model that learns from complete ones only: one that was stopped at a rung is complete with
    the worst value seen of each objective, one that ended otherwise with a worse one; those that run stay as they are."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        return []
    worst, worse = [], []
    for column, direction in zip(
        zip(*(trial.values for trial in complete), strict=True), directions, strict=True
    ):
        low, high = min(column), max(column)
        bad, sign = (low, -1) if direction == optuna.study.StudyDirection.MAXIMIZE else (high, 1)
        worst.append(bad)
        worse.append(bad + sign * max((high - low) / 2, 0.05 * abs(bad)))
    constrained = any(trial.constraints for trial in trials)
    copies = []
    for trial in trials:
        running = trial.state == TrialState.RUNNING
        if not running and (not trial.state.is_finished() or (constrained and not trial.constraints)):
            continue  # a model of the constraints needs their values for every trial
        values = trial.values or (worst if trial.intermediate_values else worse)
        copies.append(
            optuna.trial.create_trial(
                state=TrialState.RUNNING if running else TrialState.COMPLETE,
                params=trial.params,
                distributions=trial.distributions,
                values=None if running else values,
                constraints=trial.constraints or None,
            )
        )
    return copies


GENERATION = "pcdarts:cmaes_generation"
"""This trial attribute is the generation whose distribution a trial was drawn from."""
START_SIGMA = 1 / 6
"""The first standard deviation in the unit interval is the one that Optuna's sampler starts with."""


class CmaEs(BaseSampler):
    """CMA-ES (Hansen, arXiv 1604.00772) over the numbers that a space tunes; the rest is drawn at random. A range that
    depends on another key takes part by the relative place in its range.

    Optuna's own CmaEsSampler keeps the optimiser in the study as a pickle, which would run as code when it is read, and
    learns from complete trials alone. Here the optimiser is built anew for each proposal and told, generation by generation,
    the trials that belong to it; it looks at ranks alone, so trials that failed or were pruned rank last.

    Args:
        tune: what is drawn, a number among it at least.
        seed: of this proposal. `sweep_seed`: of the optimiser, the same for all proposals of a sweep.
    """

    def __init__(self, tune: Mapping[str, Range], *, seed: int, sweep_seed: int) -> None:
        self._keys, self._seed, self._sweep_seed = numeric_keys(tune), seed, sweep_seed
        self._random = KeyedRandom(seed)
        self._point: dict[str, float] = {}

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        optimizer = self._rebuild([t for t in study.get_trials(deepcopy=False) if t.state.is_finished()])
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, optimizer.generation)
        optimizer.reseed_rng(self._seed)
        self._point = dict(zip(self._keys, optimizer.ask().tolist(), strict=True))
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        at = self._point.get(_key(param_name))
        if at is None:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        unit = _SearchSpaceTransform({param_name: param_distribution}, transform_0_1=True)
        return unit.untransform(np.array([at]))[param_name]

    def _rebuild(self, finished: list[FrozenTrial]) -> Any:
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
            drawn = [
                trial for trial in finished if trial.system_attrs.get(GENERATION) == optimizer.generation
            ]
            if len(drawn) < optimizer.population_size:
                return optimizer
            order = sorted(drawn[: optimizer.population_size], key=_badness)
            optimizer.tell([(self._place(trial), float(rank)) for rank, trial in enumerate(order)])

    def _place(self, trial: FrozenTrial) -> Any:
        """Where a trial lies in the unit cube."""
        found = {
            _key(name): _SearchSpaceTransform({name: kind}, transform_0_1=True).transform(trial.params).item()
            for name, kind in trial.distributions.items()
            if _key(name) in self._keys
        }
        return np.array([found[key] for key in self._keys])


def _key(name: str) -> str:
    """The tuned key behind one of Optuna's names: `search.batch_size@supernet.k=4` -> `search.batch_size`."""
    return name.partition("@")[0]


def _badness(trial: FrozenTrial) -> tuple[float, ...]:
    """To sort trials by, best first: complete ones by accuracy, those stopped at a rung by how far they came and their
    accuracy there, then the others."""
    if trial.state == TrialState.COMPLETE:
        assert trial.values is not None
        return (0.0, 0.0, -trial.values[0], trial.number)
    if trial.intermediate_values:
        step, accuracy = max(trial.intermediate_values.items())
        return (1.0, -float(step), -accuracy, trial.number)
    return (2.0, 0.0, 0.0, trial.number)
