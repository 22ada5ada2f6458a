"""In-memory Optuna studies made of a sweep's records, for Optuna's plots, and the importances of its settings.

The sweep's own study gives a conditional setting one name for each value of the setting that it depends on
(`search.batch_size@supernet.k=4`). Here it has one name and one distribution, which spans all of its ranges. Optuna's
PED-ANOVA (Watanabe et al., IJCAI 2023, arXiv 2304.10255) compares how a setting is distributed among the best trials and
among all: on a study that maximizes accuracy, what differs among the best is important *for a higher accuracy*.
With `target=` Optuna takes low values for better.
"""

from __future__ import annotations

import html
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import spearmanr

from pcdarts_tune.spaces.ranges import CategoricalRange, ConditionalRange, FloatRange, IntRange, Range
from pcdarts_tune.spaces.tuning import varied_keys
from pcdarts_tune.spaces.values import label
from pcdarts_tune.tasks import TrialRecord


def make_plot_study(
    records: Sequence[TrialRecord],
    tune: Mapping[str, Range],
    times: Mapping[int, tuple[datetime | None, datetime | None]] | None = None,
) -> Study:
    """A study that maximizes accuracy, with all trials under their numbers.

    Args:
        records: of all trials of the sweep, in any order.
        tune: ranges by dotted key; those with a single value are left out.
        times: trial number -> start and end, for the timeline; a trial without times starts now.
    """
    study = optuna.create_study(direction="maximize")
    spans = {}
    for key in varied_keys(tune):
        if values := [r.hyperparameters[key] for r in records if key in r.hyperparameters]:
            spans[key] = merge_ranges(tune[key], values)
    for record in sorted(records, key=lambda record: record.trial):
        keys = [key for key in spans if key in record.hyperparameters]
        trial = optuna.create_trial(
            state=optuna.trial.TrialState["FAIL" if record.state == "failed" else record.state.upper()],
            value=record.objective,
            params={key: plot_value(record.hyperparameters[key]) for key in keys},
            distributions={key: spans[key] for key in keys},
            intermediate_values={int(epochs): accuracy for epochs, accuracy in record.rungs.items()},
        )
        started, ended = (times or {}).get(record.trial, (None, None))
        trial.datetime_start = started or trial.datetime_start
        trial.datetime_complete = ended or trial.datetime_complete
        study.add_trial(trial)
    return study


def make_size_study(records: Sequence[TrialRecord], measure: str) -> Study:
    """A study with two objectives, `measure` (`params`, `macs` or `latency`) to minimize and accuracy to maximize, of the
    trials that have both; they keep their number in the user attribute `trial`."""
    study = optuna.create_study(directions=["minimize", "maximize"])
    for record in sorted(records, key=lambda record: record.trial):
        size = getattr(record, measure)
        if record.objective is not None and size:
            values = [float(size), record.objective]
            study.add_trial(optuna.create_trial(values=values, user_attrs={"trial": record.trial}))
    return study


def pareto_front(records: Sequence[TrialRecord], measure: str) -> list[int]:
    """Numbers of the trials than which no other is smaller and more accurate, smallest first; of trials with equal values
    the first."""
    study = make_size_study(records, measure)
    found: dict[tuple[float, ...], int] = {}
    for trial in study.best_trials if study.trials else []:
        found.setdefault(tuple(trial.values), trial.user_attrs["trial"])
    return [found[values] for values in sorted(found)]


def merge_ranges(item: Range, seen: Sequence[Any]) -> BaseDistribution:
    """The Optuna distribution that holds every value of a range and every value in `seen`; numbers are on a logarithmic
    scale where all parts of a conditional range are."""
    parts = list(item.ranges.values()) if isinstance(item, ConditionalRange) else [item]
    numbers = [part for part in parts if isinstance(part, FloatRange | IntRange)]
    if len(numbers) < len(parts):
        given = [value for part in parts if isinstance(part, CategoricalRange) for value in part.choices]
        choices = list(dict.fromkeys(map(plot_value, [*given, *seen])))
        if all(isinstance(choice, int | float) for choice in choices):
            choices.sort()
        return CategoricalDistribution(choices)
    low, high = min([*(part.low for part in numbers), *seen]), max([*(part.high for part in numbers), *seen])
    log = all(part.log for part in numbers)
    if all(isinstance(part, IntRange) for part in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def plot_value(value: Any) -> Any:
    """A setting as plots show it: numbers as they are, anything else as text without markup."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return html.escape(label(value), quote=False)


EVALUATOR = "PED-ANOVA"
FEWEST = 10
"""The number of complete trials below which no importances are computed."""
ENOUGH = 50
"""The number of complete trials below which the report warns."""
BEST = 5
"""The least number of trials that count as the best, which PED-ANOVA needs."""
SHARE = 0.2
"""The share of the complete trials that counts as the best."""
SHUFFLES = 40
"""How often accuracies are shuffled among the trials, to see what chance alone gives."""


@dataclass(frozen=True)
class Importances:
    """Importances of the settings that differ.

    Attributes:
        n: number of complete trials. `best`: how many of them count as the best.
        shares: importance by setting, largest first; they add up to 1. Empty with too few trials.
        correlations: Spearman's rank correlation with accuracy by setting, of numbers that differ.
        above_chance: the settings whose importance exceeds that under 95 % of shuffled accuracies.
    """

    n: int
    best: int
    shares: dict[str, float] = field(default_factory=dict)
    correlations: dict[str, float] = field(default_factory=dict)
    above_chance: tuple[str, ...] = ()

    @property
    def caution(self) -> str:
        """A warning where there are few trials, else empty."""
        return "" if self.n >= ENOUGH else f"from {self.n} complete trials only: a hint, not a finding"

    @property
    def evaluator(self) -> PedAnovaImportanceEvaluator:
        """Optuna's evaluator, set to the best trials."""
        # half a trial less: `best / n * n` may round to more than `best`
        return PedAnovaImportanceEvaluator(target_quantile=(self.best - 0.5) / self.n)


def compute_importances(study: Study) -> Importances:
    """Importances of all parameters of a single-objective study that maximizes; trials that are not complete are left
    out."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n = len(trials)
    found = Importances(n, max(BEST, math.ceil(SHARE * n)), correlations=rank_correlations(trials))
    values = [trial.value or 0.0 for trial in trials]
    if n < FEWEST or len(set(values)) < 2 or not any(trial.params for trial in trials):
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about `normalize`, and that low targets are taken for better
        raw = get_param_importances(study, evaluator=found.evaluator, normalize=False)
        exceeded, draw = dict.fromkeys(raw, 0), random.Random(0)
        for _ in range(SHUFFLES):
            draw.shuffle(values)
            targets = {trial.number: -value for trial, value in zip(trials, values, strict=True)}
            chance = get_param_importances(
                study,
                evaluator=found.evaluator,
                target=lambda trial, targets=targets: targets[trial.number],  # type: ignore[misc]
                normalize=False,
            )
            for key, value in chance.items():
                exceeded[key] += value >= raw[key]
    total = math.fsum(raw.values()) or 1.0
    shares = {key: value / total for key, value in raw.items()}
    above = tuple(key for key in shares if exceeded[key] <= SHUFFLES // 20)
    return Importances(n, found.best, shares, found.correlations, above)


def rank_correlations(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Spearman's correlation of each numeric parameter with the value; parameters that do not differ are left out."""
    found = {}
    for key in dict.fromkeys(key for trial in trials for key in trial.params):
        pairs = [(trial.params[key], trial.value) for trial in trials if key in trial.params]
        settings, values = zip(*pairs, strict=True)
        numeric = not any(isinstance(setting, str) for setting in settings)
        if len(pairs) >= 3 and numeric and len(set(settings)) > 1 and len(set(values)) > 1:
            found[key] = float(spearmanr(settings, values).statistic)
    return found
