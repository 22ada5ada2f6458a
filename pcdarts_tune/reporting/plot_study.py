"""In-memory Optuna studies made of a sweep's records, for Optuna's plots and importances.

The sweep's own study gives a conditional setting one name for each value of the setting that it depends on
(`search.batch_size@supernet.k=4`). Here it has one name and one distribution, which spans all of its ranges.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

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
    """A study with two objectives, `measure` to minimize and accuracy to maximize, of the trials that have both.

    Args:
        measure: `params`, `macs` or `latency`, an attribute of the records.

    Returns:
        A study whose trials keep their number in the user attribute `trial`.
    """
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
    """The Optuna distribution that holds every value of a range and every value in `seen`.

    Numbers are on a logarithmic scale where all parts of a conditional range are.
    """
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
