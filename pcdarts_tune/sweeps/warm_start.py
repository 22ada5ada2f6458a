"""What a new sweep can learn from another: the trials whose settings lie in its space, and why the others do not.

    learned = learn_from(open_sweep(where, "first"), space, settings, digest)
    learned.trials          # for SweepStudy.create(foreign=...)
    learned.left_out        # {"search.batch_size 96 lies outside its range ...": [3, 7]}

Scores of two sweeps mean the same only where a cell scores alike in both: the same images, split, evaluation recipe, objective
and precision. Anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.keys import flatten, lookup
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import encode
from pcdarts_tune.spaces.values import label
from pcdarts_tune.sweeps.comparison import Scoring, differing_scorings
from pcdarts_tune.sweeps.study.foreign_trials import Foreign
from pcdarts_tune.sweeps.study.objectives import excess, objective_values
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import TrialRecord

DECIDING = ("supernet", "search", "derive")
"""Sections of a space that decide what a search finds."""


@dataclass
class Learned:
    """What is taken over from a sweep.

    Attributes:
        left_out: why trials are not -> their numbers.
        notes: what to bear in mind.
    """

    source: str
    trials: list[Foreign] = field(default_factory=list)
    left_out: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For the person who starts the sweep."""
        complete = sum(trial.values is not None for trial in self.trials)
        said = [f"the sampler knows {len(self.trials)} trials of {self.source}, {complete} of them complete"]
        said += [
            f"left out: {len(numbers)} ({', '.join(map(str, numbers[:8]))}{', ...' if len(numbers) > 8 else ''}): {why}"
            for why, numbers in self.left_out.items()
        ]
        return said + self.notes


def learn_from(source: SweepHandle, space: Space, scoring: Scoring) -> Learned:
    """What a sweep of `space`, which scores cells like `scoring`, learns from another.

    Raises:
        UserError: the two score cells differently, aim at something else, or nothing can be learned.
    """
    theirs = Scoring.of(source)
    if differences := differing_scorings(scoring, theirs):
        raise UserError(
            f"--warm-start {source.name}: its trials are scored differently, so their scores would mislead the sampler: "
            f"{'; '.join(differences)}",
            hint=f"set the same here ({differences[0].partition(' ')[0]}), or leave --warm-start out",
        )
    for key in ("search.method", "objectives", "repeats"):
        here, there = _value(space, key), _value(source.space, key)
        if here != there:
            raise UserError(
                f"--warm-start {source.name}: {key} is {label(there)} there and {label(here)} here: its scores say nothing "
                "about this sweep",
                hint=f"--set {key}={label(there)}, or leave --warm-start out",
            )
    learned = Learned(source.name)
    for record in sorted(source.records(), key=lambda record: record.trial):
        try:
            learned.trials.append(_translate(source, space, record))
        except ValueError as error:
            learned.left_out.setdefault(str(error), []).append(record.trial)
    if not learned.trials:
        reasons = "; ".join(learned.left_out) or "it has none"
        raise UserError(
            f"--warm-start {source.name}: none of its trials can be learned from: {reasons}",
            hint="a space whose ranges hold its settings, or leave --warm-start out",
        )
    if others := _other_settings(source.space, space):
        learned.notes.append(f"note: {'; '.join(others)}: scores are taken as if that made no difference")
    return learned


def _translate(source: SweepHandle, space: Space, record: TrialRecord) -> Foreign:
    """A trial as the new study can know it. Raises ValueError: why it cannot."""
    if record.state in ("running", "waiting"):
        raise ValueError("it has not ended")
    settings = {key: record.hyperparameters.get(key, _value(source.space, key)) for key in space.tune}
    for key, value in record.hyperparameters.items():
        if key not in space.tune and (fixed := _value(space, key)) != value:
            raise ValueError(f"{key} is {label(fixed)} here, and not tuned")
    settings = {key: _as_drawn(value, space.tune[key]) for key, value in settings.items()}
    try:
        encode(space.tune, settings)
    except KeyError as error:
        raise ValueError(f"no range holds for the value {error} of the key that it depends on") from None
    values = None
    if record.state == "complete":
        found = objective_values(space.objectives, record)
        if len(found) < len(space.objectives):
            raise ValueError(f"it has no {', '.join(set(space.objectives) - set(found))}")
        values = tuple(found.values())
    over = {}
    if record.params is not None and record.macs is not None:
        over = excess(space, params=record.params, macs=record.macs)
    rungs = {int(epochs): score for epochs, score in record.rungs.items()}
    return Foreign(f"{source.name}:{record.trial}", settings, values, rungs, over)


def _as_drawn(value: Any, item: object) -> Any:
    """A whole number where a range of floats wants one that is not, as YAML may have it."""
    return float(value) if type(value) is int and getattr(item, "type", "") == "float" else value


def _value(space: Space, key: str) -> Any:
    value = lookup(space, key)
    return list(value) if isinstance(value, tuple) else value


def _other_settings(theirs: Space, ours: Space) -> list[str]:
    """Values that neither tunes and that differ: `search.epochs 5 there, 10 here` each."""

    def fixed(space: Space) -> Mapping[str, Any]:
        dump = space.model_dump(mode="json", include=set(DECIDING))
        tuned = {*theirs.tune, *ours.tune}
        return {key: value for key, value in flatten(dump).items() if key not in tuned}

    a, b = fixed(theirs), fixed(ours)
    return [
        f"{key} {label(a.get(key))} there, {label(b.get(key))} here"
        for key in {**a, **b}
        if a.get(key) != b.get(key)
    ]
