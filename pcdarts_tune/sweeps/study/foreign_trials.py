"""Trials of another sweep that a study knows and did not run: its sampler learns from them, and nobody else sees them.

    add_foreign(optuna_study, tune, [Foreign("first:3", "complete", {"supernet.k": 4}, (0.97,))])

They come before all others. Optuna numbers them too, so a sweep's own trial 0 has the number of foreign trials in Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.tuning import encode, propose

if TYPE_CHECKING:
    import optuna

FOREIGN = "foreign"
"""The attribute of a trial that names where it is from, `first:3`; of the study, how many of its trials have it."""


@dataclass(frozen=True)
class Foreign:
    """One trial of another sweep.

    Attributes:
        name: where it is from.
        settings: a value for each range of the study that learns from it, by dotted key.
        values: of the objectives, in their order; None unless it is complete.
        rungs: its score after so many epochs of the evaluation.
        constraints: by how much it exceeds the limits of the study that learns from it.
    """

    name: str
    settings: Mapping[str, Any]
    values: Sequence[float] | None
    rungs: Mapping[int, float] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)


def add_foreign(study: optuna.Study, tune: Mapping[str, Range], trials: Sequence[Foreign]) -> None:
    """Put trials into a study that has none yet. As among a study's own, one that was not completed is PRUNED: with its
    rungs where it has some and there is one objective, else it ranks worst.

    Raises:
        ValueError: a setting lies outside its range.
    """
    import optuna

    for each in trials:
        fixed = optuna.trial.FixedTrial(encode(tune, each.settings))
        propose(tune, fixed)
        single = len(study.directions) == 1
        study.add_trial(
            optuna.create_trial(
                state=optuna.trial.TrialState.PRUNED
                if each.values is None
                else optuna.trial.TrialState.COMPLETE,
                values=None if each.values is None else list(each.values),
                params=fixed.params,
                distributions=fixed.distributions,
                intermediate_values=dict(each.rungs) if each.values is None and single else {},
                user_attrs={FOREIGN: each.name},
                constraints=dict(each.constraints) or None,
            )
        )
    # last: whoever finds it finds all of them
    study.set_user_attr(FOREIGN, len(trials))


def count_foreign(study: optuna.Study) -> int:
    """How many of a study's trials are another's."""
    return int(study.user_attrs.get(FOREIGN, 0))
