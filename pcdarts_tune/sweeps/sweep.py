"""A sweep as others see it: made, opened, asked for its trials and its best. runner.py runs it.

sweep = open_sweep(Where(Path("pcdarts-home")), "first")
sweep.best().genotype
sweep.record(3) == sweep.record_of_run("2f6c…")
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pcdarts_tune import plugins
from pcdarts_tune.addresses import check_study_uri, check_uri
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import (
    SweepFolder,
    Where,
    artifact_root,
    find_sweep,
    is_running,
    sweep_lock,
)
from pcdarts_tune.spaces.mistakes import mistakes_of
from pcdarts_tune.spaces.naming import ordered_keys
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import starting_point, varied_keys
from pcdarts_tune.sweeps.record import SweepSettings, read_record
from pcdarts_tune.sweeps.study.storage import StudyLock, is_locked
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.tasks import STATES, TrialRecord, ranked
from pcdarts_tune.tracking.lookup import SHORTEST
from pcdarts_tune.tracking.store import MlflowStore


class SweepHandle:
    """A sweep that exists.

    Args:
        where: the home; its addresses take the place of those that the sweep was made with (a password is never written
            down).
        folder: the sweep's.
    """

    def __init__(self, where: Where, folder: SweepFolder) -> None:
        self.where = where
        self.about, self.settings = read_record(folder.record_file)
        plugins.declare(self.plugins)
        # within the home: as seen from there
        self.settings = replace(
            self.settings,
            storage=_absolute(self.settings.storage, where.home),
            data_root=_absolute(self.settings.data_root, where.home),
        )
        self.folder = SweepFolder(folder.path, self.settings.storage)
        if where.study_uri and self.settings.study_uri is None:
            raise UserError(
                f"sweep {folder.name!r} keeps its study in {folder.study_url}; --study-uri cannot move it",
                hint="leave --study-uri away",
            )

    @property
    def name(self) -> str:
        return self.folder.name

    def command(self, verb: str, *options: str) -> str:
        """A command about this sweep to copy, with `--home` where it needs it to find the sweep."""
        return " ".join(["pcdarts-tune", verb, self.name, *options]) + self.where.home_flag

    @property
    def plugins(self) -> list[dict[str, Any]]:
        """Records of the plug-ins that its space names, see `plugins.declare`."""
        return list(self.about.get("plugins", ()))

    @cached_property
    def space(self) -> Space:
        """The space, as resolved when the sweep was made."""
        try:
            return Space.model_validate(self.about["space"])
        except ValidationError as error:
            mistakes = mistakes_of(error, self.about["space"], Space)
            said = "; ".join(f"{mistake.key}: {mistake.text}" for mistake in mistakes)
            # only the operations, families and methods that this process knows differ from one process to another
            unknown = re.compile(r"'([^']*)' is no (?:operation|family|method)\b")
            named = [name for mistake in mistakes for name in unknown.findall(mistake.text)]
            if lacking := [mistake.text for mistake in mistakes if plugins.LACKS in mistake.text]:
                raise UserError(
                    f"sweep {self.name!r}: {'; '.join(text.partition('; legal')[0] for text in lacking)}",
                    hint="install the package in the environment that runs this; the record is sound",
                ) from None
            if named:
                raise UserError(
                    f"sweep {self.name!r} was made with {', '.join(named)}, which this process does not know ({said[:300]})",
                    hint="install the package that registers it, or ask from the program that does (register_operation and "
                    "the like); the record is sound",
                ) from None
            raise UserError(
                f"{self.folder.record_file}: its space is not what this version writes: {said[:300]}",
                hint=f"the version of pcdarts-tune that made it, {self.about['versions'].get('pcdarts-tune', 'see versions')}; "
                "or, if somebody changed the file, undo that",
            ) from None

    @cached_property
    def study(self) -> SweepStudy:
        """The Optuna study."""
        settings = study_settings(self.space, self.settings)
        return SweepStudy.open(self.study_url, name=self.study_name, **settings)

    @cached_property
    def study_url(self) -> str:
        """Where the study is; for PostgreSQL with the password that was given again, or without one, for libpq to find."""
        if (kept := self.settings.study_uri) is None:
            return self.folder.study_url
        return check_study_uri(self.where.study_uri or os.environ.get("PCDARTS_TUNE_STUDY_URI") or kept)

    @property
    def study_name(self) -> str:
        """The study's name in its store."""
        return study_name(self.settings, self.name, self.about["id"])

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by the one driver that runs the sweep: a file's lock, and with PostgreSQL one that other machines see.

        Raises:
            UserError: another driver holds it.
        """
        with sweep_lock(self.folder):
            if self.settings.study_uri is None:
                yield
                return
            study = self.study
            with StudyLock(self.study_url, self.study_name, self.name) as held:
                study.guard = held.check
                try:
                    yield
                finally:
                    study.guard = lambda: None

    @property
    def running(self) -> bool:
        """Whether a driver runs the sweep now."""
        if is_running(self.folder):
            return True
        return self.settings.study_uri is not None and is_locked(self.study_url, self.study_name)

    @property
    def data_root(self) -> Path | None:
        """`--data` of the sweep."""
        return Path(self.settings.data_root) if self.settings.data_root else None

    @property
    def target(self) -> int:
        """How many trials the sweep shall have."""
        return int(self.study.notes().get("target", 0))

    @cached_property
    def tracking_uri(self) -> str:
        """MLflow's store.

        Raises:
            UserError: when the sweep was made with an address that held a password.
        """
        uri = self.settings.tracking_uri
        if self.where.tracking_uri or uri is None:
            return self.where.mlflow_uri
        if uri.startswith("secret:"):
            uri = uri.removeprefix("secret:")
            given = (os.environ.get(f"MLFLOW_TRACKING_{what}") for what in ("PASSWORD", "TOKEN"))
            if not any(given):
                raise UserError(
                    f"sweep {self.name!r} records in {uri} under a password, which is not kept",
                    hint="give the address again: --tracking-uri URI, or PCDARTS_TUNE_TRACKING_URI; "
                    "or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                )
        return check_uri(uri)

    def store(self) -> MlflowStore:
        """MLflow, for writing."""
        return MlflowStore(self.tracking_uri, artifact_root(self.where.home))

    @property
    def experiment(self) -> str:
        """The name of the MLflow experiment that holds the sweep's runs."""
        return self.space.name

    def records(self) -> list[TrialRecord]:
        """All trials, best first; in a sweep that nobody runs, those that were running wait to be resumed."""
        records = self.study.records()
        if any(record.state == "running" for record in records) and not self.running:
            return ranked([replace(r, state="waiting") if r.state == "running" else r for r in records])
        return records

    def best(self) -> TrialRecord:
        """The complete trial with the highest objective.

        Raises:
            WorkFailed: when no trial is complete.
        """
        records = self.records()
        if not records or records[0].objective is None:
            states = ", ".join(f"{count} {state}" for state, count in counts(records).items())
            raise WorkFailed(
                f"sweep {self.name!r} has no complete trial yet ({states or 'none were started'})",
                hint=self.what_next(),
            )
        return records[0]

    def what_next(self) -> str:
        """What to do where no trial is complete."""
        if self.running:
            return "wait for the first to end"
        if self.study.unfinished() or len(self.study) < self.target:
            return self.command("resume")
        return (
            f"{self.command('leaderboard')} has the reasons; trials that failed are not run again: "
            f"{self.command('extend', '--trials +N')} runs others, a new sweep with --set KEY=VALUE changes the space"
        )

    def record(self, number: int) -> TrialRecord:
        """The trial with that number.

        Raises:
            UserError: when there is none.
        """
        for record in (records := self.records()):
            if record.trial == number:
                return record
        there = f"0 to {len(records) - 1}" if records else "none"
        raise UserError(
            f"sweep {self.name!r} has no trial {number}; it has {there}", hint=self.command("leaderboard")
        )

    def record_of_run(self, run_id: str) -> TrialRecord:
        """The trial whose MLflow run has that id, or one that begins so.

        Raises:
            UserError: when it is no trial of this sweep, or several begin so.
        """
        digits = run_id.lower()
        found = [r for r in self.records() if len(digits) >= SHORTEST and (r.run_id or "").startswith(digits)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"{record.run_id} (trial {record.trial})" for record in found)
            raise UserError(f"several runs begin with {run_id!r}: {names}", hint="give more digits")
        raise UserError(
            f"{run_id!r} is not the run of a trial of sweep {self.name!r}",
            hint=self.command("leaderboard", "--json"),
        )

    @property
    def keys(self) -> list[str]:
        """The settings that differ between trials."""
        return ordered_keys(varied_keys(self.space.tune))


def _absolute(path: str | None, home: Path) -> str | None:
    return path if path is None or "://" in path else str(home.absolute() / path)


def study_name(settings: SweepSettings, sweep: str, identity: str) -> str:
    """What a sweep's study is called: a database that other sweeps share needs more than its name."""
    return f"{sweep}-{identity[:12]}" if settings.study_uri else sweep


def open_sweep(where: Where, name: str) -> SweepHandle:
    """The sweep called `name`.

    Raises:
        UserError: when there is none, naming those there are.
    """
    return SweepHandle(where, find_sweep(where.home, name))


def counts(records: list[TrialRecord]) -> dict[str, int]:
    """How many trials are in each state, those states that occur."""
    return {state: n for state in STATES if (n := sum(record.state == state for record in records))}


def study_settings(space: Space, settings: SweepSettings) -> dict[str, Any]:
    """What `SweepStudy` is made and opened with."""
    return {
        "tune": space.tune,
        "start": starting_point(space) if space.tune else None,
        "seed": settings.seed,
        "sampler": settings.sampler,
        "objectives": space.objectives,
    }
