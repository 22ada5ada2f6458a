"""Optuna's Gaussian process, shown what was pruned or failed too.

Optuna's GPSampler looks at complete trials alone, so it would propose what fails again and again. It is given a copy of the
study, in memory, in which a trial that was stopped at a rung is complete with the worst value seen of each objective, and one
that ended otherwise with a worse one; the study itself stays as it is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, GPSampler
from optuna.trial import TrialState

from pcdarts_tune.proposing.keyed import Keyed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


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
