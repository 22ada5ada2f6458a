"""The Optuna study of a sweep: the truth about its trials. What one is (seed, hyperparameters) and how it ended (an `Outcome`)
are attributes of the Optuna trial; where MLflow keeps it is one of the study, which can be set after the trial has ended.

    study = SweepStudy.create("sqlite:////home/me/study.db", tune=space.tune, start=starting_point(space), seed=0)
    proposal = study.ask(target=32)         # Proposal(number=0, seed=…, hyperparameters={"supernet.k": 4, …})
    study.start(proposal.number)
    study.tell(proposal.number, Outcome("complete", 0.97, …))

Failures are told as PRUNED without an intermediate value, which TPE ranks worst (FAIL would teach it nothing).
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pcdarts_tune.addresses import sqlite_file, without_secret
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.tuning import encode, grid, propose
from pcdarts_tune.spaces.values import label
from pcdarts_tune.sweeps.study.foreign_trials import Foreign, add_foreign, count_foreign
from pcdarts_tune.sweeps.study.objectives import (
    DIRECTIONS,
    Rung,
    objective_values,
    reason_to_stop,
    with_front,
)
from pcdarts_tune.sweeps.study.samplers import Occasion, derived_seed, sampler
from pcdarts_tune.sweeps.study.storage import explain_open_errors, open_storage, retry_while_away
from pcdarts_tune.tasks import Outcome, Proposal, State, TrialRecord, ranked

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "sweep"
_OPEN = ("RUNNING", "WAITING")
"""Optuna's states of a trial that was not told."""


class SweepStudy:
    """An Optuna study with the settings that a sweep needs; one driver at a time writes to it (see home.sweep_lock).

    Args:
        study: the Optuna study.
        tune: what is drawn, by dotted key.
        start: what the first trial takes, under Optuna's names (`spaces.starting_point`); None to draw it.
        seed: the sweep's.
        sampler: a name that `samplers.SAMPLERS` knows.
        objectives: names of `objectives.DIRECTIONS`.
        url: of the store, for messages.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        tune: Mapping[str, Range],
        start: Mapping[str, Any] | None,
        seed: int,
        sampler: str = "tpe",
        objectives: Sequence[str] = ("accuracy",),
        url: str = "",
    ) -> None:
        self._study = study
        self._foreign = count_foreign(study)
        """Trials of other sweeps, which Optuna counts before the first of this one."""
        self._tune, self._start = tune, start
        self._seed, self._sampler, self._objectives = seed, sampler, tuple(objectives)
        self.url = url
        self.guard: Callable[[], None] = lambda: None
        """Called before every proposal and outcome: sees that this driver may still write."""
        self._checking = threading.Lock()  # a slow sampler asks in a thread of its own

    @classmethod
    def create(
        cls,
        url: str,
        *,
        name: str = STUDY_NAME,
        foreign: Sequence[Foreign] = (),
        queued: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> SweepStudy:
        """A new study in the store at `url`.

        Args:
            foreign: trials of other sweeps that it learns from.
            queued: settings of its first trials, by Optuna's names; what they leave out is drawn.
        """
        with explain_open_errors(url):
            study = _new_study(settings.get("objectives"), storage=open_storage(url), study_name=name)
            if foreign:
                add_foreign(study, settings["tune"], foreign)
            for values in queued:
                study.enqueue_trial(dict(values))
        return cls(study, url=url, **settings)

    @classmethod
    def unsaved(cls, **settings: Any) -> SweepStudy:
        """A study in memory, gone with the process."""
        return cls(_new_study(settings.get("objectives")), **settings)

    @classmethod
    def open(cls, url: str, *, name: str = STUDY_NAME, **settings: Any) -> SweepStudy:
        """The study in the store at `url`. In a file of its own it is the only one, whatever it is called: `sweep` where an
        older version made it, or the name that the sweep's folder had before.

        Raises:
            UserError: when there is none.
        """
        import optuna

        # opening it would make an empty one
        if (file := sqlite_file(url)) is not None and not file.exists():
            hint = (
                "put it back where it was: trials/ beside it hold what the trials left, and stay as they are"
            )
            raise UserError(f"{file} is missing: it holds the sweep's trials", hint=hint)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            with explain_open_errors(url):
                storage = open_storage(url)
                if file is not None and len(found := optuna.get_all_study_names(storage)) == 1:
                    name = found[0]
                study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            hint = "it was not fully made, or was put in the place of another: look whether trials/ beside it hold results"
            raise UserError(f"{without_secret(url)} holds no sweep", hint=hint) from None
        return cls(study, url=url, **settings)

    @property
    def name(self) -> str:
        """By which it is loaded from its store."""
        return str(self._study.study_name)

    @property
    def number(self) -> int:
        """By which its store knows the study."""
        return self._study._study_id

    @retry_while_away
    def __len__(self) -> int:
        return len(self._trials())

    @retry_while_away
    def ask(self, target: int) -> Proposal:
        """Propose the next trial of a sweep of `target` trials: the space's own values first; of a grid that fits into the
        target a combination that has fewest trials, so that all have equally many; else what the sampler draws, seeded by
        (seed, number)."""
        self._check()
        trials = self._trials()
        open_ones = [trial for trial in trials if trial.state.name in _OPEN]
        for trial in open_ones:
            if "hyperparameters" not in trial.user_attrs:
                return self._complete(trial)  # an attempt that was cut off with the connection
        number, finished = len(trials), self._foreign + len(trials) - len(open_ones)
        fixed = self._fixed(number, target)
        if fixed is not None:
            self._study.enqueue_trial(fixed)
        return self._draw(Occasion(self._seed, number, finished, self._tune), self._study.ask)

    @retry_while_away
    def unfinished(self) -> list[Proposal]:
        """Trials that were proposed and not told, lowest number first: a driver that takes over runs these again."""
        return [self._complete(trial) for trial in self._trials() if not trial.state.is_finished()]

    @retry_while_away
    def start(self, number: int) -> None:
        """Note that a trial runs now; until then it is `waiting`."""
        self._trial(number).set_user_attr("started", True)

    @retry_while_away
    def tell(self, number: int, outcome: Outcome) -> bool:
        """Write down how a trial ended; False when that was known already."""
        from optuna.trial import TrialState

        self._check()
        if self._frozen(number).state.is_finished():
            return False
        trial = self._trial(number)
        trial.set_user_attr("outcome", outcome.to_dict())
        for name, over in outcome.constraints.items():
            if name not in trial.constraints:
                trial.set_constraint(name, over)
        if outcome.state == "complete":
            values = list(objective_values(self._objectives, outcome).values())
            self._study.tell(self._foreign + number, values)
            return True
        # what was stopped at a rung ranks below all that is complete, and among its like by how far it came; Optuna takes no
        # such value where there are several objectives
        if outcome.state == "pruned" and len(self._objectives) == 1:
            reported = self._frozen(number).intermediate_values
            for epochs, entry in _rungs(trial.user_attrs).items():
                if int(epochs) not in reported:
                    trial.report(entry["values"]["accuracy"], int(epochs))
        self._study.tell(self._foreign + number, state=TrialState.PRUNED)
        return True

    @retry_while_away
    def decide_at_rung(self, number: int, reached: Mapping[str, float], rung: Rung) -> str | None:
        """Write down the values a trial has at a rung; why it ends there, None when it goes on. Asked again, the answer is
        the one that was given first."""
        key = f"rung/{rung.epochs}"
        trials = self._trials()
        known = trials[number].user_attrs.get(key)
        if known is None:
            others = [
                trial.user_attrs[key]["values"]
                for trial in trials
                if self._own(trial) != number and key in trial.user_attrs
            ]
            stop = reason_to_stop(self._objectives, dict(reached), others, rung)
            known = {"values": dict(reached), "stop": stop}
            if not trials[number].state.is_finished():
                self._trial(number).set_user_attr(key, known)
        answer: str | None = known["stop"]
        return answer

    @retry_while_away
    def note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the study: `run/3` is the MLflow run of trial 3, `run` that of the sweep."""
        self._study.set_user_attr(key, value)

    @retry_while_away
    def notes(self) -> dict[str, Any]:
        """All that was noted."""
        return self._study.user_attrs

    @retry_while_away
    def records(self) -> list[TrialRecord]:
        """All trials, best first."""
        notes = self.notes()
        records = [
            _record(number, trial, notes.get(f"run/{number}")) for number, trial in enumerate(self._trials())
        ]
        return ranked(with_front(records, self._objectives))

    @retry_while_away
    def trial_times(self) -> dict[int, tuple[datetime | None, datetime | None]]:
        """Trial number -> when it was proposed and when it ended, in local time."""
        return {
            number: (trial.datetime_start, trial.datetime_complete)
            for number, trial in enumerate(self._trials())
        }

    def _check(self) -> None:
        with self._checking:
            self.guard()

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        """The sweep's own trials, by number."""
        return self._study.get_trials(deepcopy=False)[self._foreign :]

    def _own(self, trial: optuna.trial.FrozenTrial | optuna.Trial) -> int:
        """The number of a trial in the sweep."""
        return trial.number - self._foreign

    def _trial(self, number: int) -> optuna.Trial:
        import optuna

        return optuna.Trial(self._study, self._frozen(number)._trial_id)

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        """One trial, without reading the others."""
        storage, study = self._study._storage, self._study._study_id
        return storage.get_trial(
            storage.get_trial_id_from_study_id_trial_number(study, self._foreign + number)
        )

    def _complete(self, trial: optuna.trial.FrozenTrial) -> Proposal:
        if "hyperparameters" in trial.user_attrs:
            return Proposal(self._own(trial), trial.user_attrs["seed"], trial.user_attrs["hyperparameters"])
        # the driver died between asking and writing down what it drew: draw what is missing, with the same seed
        waits = trial.state.name == "WAITING"
        number = self._own(trial)
        occasion = Occasion(self._seed, number, self._foreign + number, self._tune)
        return self._draw(occasion, self._study.ask if waits else lambda: self._trial(number))

    def _draw(self, occasion: Occasion, ask: Callable[[], optuna.Trial]) -> Proposal:
        """Draw what a trial does not have yet, and write it down."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Optuna calls experimental is no user's business
            self._study.sampler = sampler(self._sampler, occasion)
            trial = ask()
            values = propose(self._tune, trial)
        number = self._own(trial)
        seed = derived_seed(self._seed, "trial", number)
        trial.set_user_attr("seed", seed)
        trial.set_user_attr("hyperparameters", values)
        return Proposal(number, seed, values)

    def _fixed(self, number: int, target: int) -> dict[str, Any] | None:
        if number == 0 and self._start is not None:
            return dict(self._start)
        combinations = grid(self._tune, limit=target) if self._tune else None
        if not combinations:
            return None
        # those that run, failed or were pruned count too: a combination that always fails must not take the others' trials
        tried = Counter(_key(trial.user_attrs.get("hyperparameters", {})) for trial in self._trials())
        return encode(self._tune, min(combinations, key=lambda values: tried[_key(values)]))


def _new_study(objectives: Sequence[str] | None, **settings: Any) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        directions=[DIRECTIONS[name] for name in objectives or ("accuracy",)], **settings
    )


def _key(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, label(value)) for key, value in values.items()))


def _record(number: int, trial: optuna.trial.FrozenTrial, run_id: str | None) -> TrialRecord:
    attributes = trial.user_attrs
    state: State = "running" if "started" in attributes else "waiting"
    known: dict[str, Any] = {"state": state}
    if trial.state.is_finished():
        known = attributes.get("outcome", {"state": "failed"})
    return TrialRecord(
        trial=number,
        seed=attributes.get("seed", 0),
        hyperparameters=attributes.get("hyperparameters", {}),
        run_id=run_id,
        rungs={epochs: entry["values"]["accuracy"] for epochs, entry in _rungs(attributes).items()},
        **known,
    )


def _rungs(attributes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Epochs -> what was written down at the rung, as a trial's attributes have it."""
    return {key.removeprefix("rung/"): value for key, value in attributes.items() if key.startswith("rung/")}
