"""The Optuna study of a sweep: the truth about its trials.

A trial is asked for, started, told. What it is (seed, hyperparameters) and how it ended (an `Outcome`) are
attributes of the Optuna trial; where MLflow keeps it is an attribute of the study, which can be set after the
trial has ended.

    study = SweepStudy.create("sqlite:////home/me/study.db", tune=space.tune, start=starting_point(space), seed=0)
    proposal = study.ask(target=32)         # Proposal(number=0, seed=…, hyperparameters={"supernet.k": 4, …})
    study.start(proposal.number)
    study.tell(proposal.number, Outcome("complete", 0.97, …))
    study.records()

Failures are told as PRUNED without an intermediate value, which TPE ranks worst (FAIL would teach it nothing); the
attributes say what really happened, and only they are shown to people.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.configuration.ranges import Range, encode, grid, label, propose
from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeping.outcome import Outcome, State, TrialRecord, ranked

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "sweep"


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its number, the seed of its search, and dotted key -> value."""

    number: int
    seed: int
    hyperparameters: dict[str, Any]


def derived_seed(seed: int, *path: object) -> int:
    """A seed of its own for `path` (a trial's number, "evaluation", ...) under the sweep's seed: 0 <= value < 2**31."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


class SweepStudy:
    """An Optuna study with the settings that a sweep needs; one driver at a time writes to it (see home.SweepLock).

    Args:
        study: the Optuna study.
        tune: what is drawn, by dotted key.
        start: what the first trial takes, under Optuna's names (`spaces.starting_point`); None to draw it
            like the others.
        seed: the sweep's.
        sampler: a name that `samplers.SAMPLERS` knows.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        tune: Mapping[str, Range],
        start: Mapping[str, Any] | None,
        seed: int,
        sampler: str = "tpe",
    ) -> None:
        self._study = study
        self._tune, self._start = tune, start
        self._seed, self._sampler = seed, sampler

    @classmethod
    def create(cls, url: str, **settings: Any) -> SweepStudy:
        """A new study in the store at `url`."""
        import optuna

        _quiet()
        study = optuna.create_study(storage=_storage(url), study_name=STUDY_NAME, direction="maximize")
        return cls(study, **settings)

    @classmethod
    def open(cls, url: str, **settings: Any) -> SweepStudy:
        """The study in the store at `url`.

        Raises:
            UserError: when there is none.
        """
        import optuna

        _quiet()
        try:
            study = optuna.load_study(study_name=STUDY_NAME, storage=_storage(url))
        except KeyError:
            raise UserError(
                f"{_shown(url)} holds no sweep", hint="a sweep that was not fully created: delete it"
            ) from None
        return cls(study, **settings)

    def __len__(self) -> int:
        return len(self._trials())

    def ask(self, target: int) -> Proposal:
        """Propose the next trial of a sweep of `target` trials: the space's own values first, a whole grid before any
        repeat where the grid fits into the target, else what the sampler draws, seeded by (seed, number)."""
        from pcdarts_tune.sweeping.samplers import sampler

        number = len(self)
        finished = sum(trial.state.is_finished() for trial in self._trials())
        fixed = self._fixed(number, target)
        if fixed is not None:
            self._study.enqueue_trial(fixed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Optuna calls experimental is no user's business
            self._study.sampler = sampler(
                self._sampler, derived_seed(self._seed, "proposal", number), finished
            )
            return self._describe(self._study.ask())

    def unfinished(self) -> list[Proposal]:
        """Trials that were proposed and not told, lowest number first: a driver that takes over runs these again."""
        return [self._complete(trial) for trial in self._trials() if not trial.state.is_finished()]

    def start(self, number: int) -> None:
        """Note that a trial runs now; until then it is `waiting`."""
        self._trial(number).set_user_attr("started", True)

    def tell(self, number: int, outcome: Outcome) -> bool:
        """Write down how a trial ended; False when that was known already."""
        from optuna.trial import TrialState

        if self._trials()[number].state.is_finished():
            return False
        self._trial(number).set_user_attr("outcome", outcome.to_dict())
        if outcome.state == "complete":
            self._study.tell(number, outcome.objective)
        else:
            self._study.tell(number, state=TrialState.PRUNED)
        return True

    def note(self, key: str, value: Any) -> None:
        """Keep a JSON value with the study: `run/3` is the MLflow run of trial 3, `run` that of the sweep."""
        self._study.set_user_attr(key, value)

    def notes(self) -> dict[str, Any]:
        """All that was noted."""
        return self._study.user_attrs

    def records(self) -> list[TrialRecord]:
        """All trials, best first."""
        notes = self.notes()
        return ranked([_record(trial, notes.get(f"run/{trial.number}")) for trial in self._trials()])

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> optuna.Trial:
        import optuna

        return optuna.Trial(self._study, self._trials()[number]._trial_id)

    def _complete(self, trial: optuna.trial.FrozenTrial) -> Proposal:
        from optuna.trial import TrialState

        from pcdarts_tune.sweeping.samplers import sampler

        if "hyperparameters" in trial.user_attrs:
            return Proposal(trial.number, trial.user_attrs["seed"], trial.user_attrs["hyperparameters"])
        # the driver died between asking and writing down what it drew: draw what is missing, with the same seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seed = derived_seed(self._seed, "proposal", trial.number)
            self._study.sampler = sampler(self._sampler, seed, trial.number)
            asked = self._study.ask() if trial.state == TrialState.WAITING else self._trial(trial.number)
            return self._describe(asked)

    def _describe(self, trial: optuna.Trial) -> Proposal:
        values = propose(self._tune, trial)
        seed = derived_seed(self._seed, "trial", trial.number)
        trial.set_user_attr("seed", seed)
        trial.set_user_attr("hyperparameters", values)
        return Proposal(trial.number, seed, values)

    def _fixed(self, number: int, target: int) -> dict[str, Any] | None:
        if number == 0 and self._start is not None:
            return dict(self._start)
        combinations = grid(self._tune, limit=target) if self._tune else None
        if not combinations:
            return None
        tried = {_key(trial.user_attrs.get("hyperparameters", {})) for trial in self._trials()}
        return next(
            (encode(self._tune, values) for values in combinations if _key(values) not in tried), None
        )


def _key(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, label(value)) for key, value in values.items()))


def _record(trial: optuna.trial.FrozenTrial, run_id: str | None) -> TrialRecord:
    attributes = trial.user_attrs
    known: dict[str, Any] = attributes.get("outcome", {}) if trial.state.is_finished() else {}
    running: State = "running" if "started" in attributes else "waiting"
    return TrialRecord(
        trial=trial.number,
        state=known.get("state", "failed") if trial.state.is_finished() else running,
        objective=known.get("objective"),
        genotype=known.get("genotype"),
        genotype_hash=known.get("genotype_hash"),
        params=known.get("params"),
        macs=known.get("macs"),
        hyperparameters=attributes.get("hyperparameters", {}),
        run_id=run_id,
        reason=known.get("reason"),
        seed=attributes.get("seed", 0),
        evaluation_from=known.get("evaluation_from"),
        seconds=known.get("seconds"),
        metrics=known.get("metrics", {}),
    )


def _storage(url: str) -> optuna.storages.RDBStorage:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs=wait)
    except (SQLAlchemyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the Optuna study at {_shown(url)} cannot be opened: {reason}") from None


def _shown(url: str) -> str:
    """The address without what may be a password in it."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
