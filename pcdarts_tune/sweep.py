"""A sweep as others see it: made, opened, asked for its trials and its best. runner.py runs it.

sweep = open_sweep(Path("pcdarts-home"), "first")
sweep.best().genotype
sweep.record(3) == sweep.record_of_run("2f6c…")
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.configuration.ranges import varied
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import (
    SweepFolder,
    artifact_root,
    default_tracking_uri,
    find_sweep,
    is_running,
    read_json,
)
from pcdarts_tune.study import SweepStudy
from pcdarts_tune.sweeping.outcome import TrialRecord, ranked
from pcdarts_tune.tracking import MlflowStore, check_uri

if TYPE_CHECKING:
    from pcdarts_tune.config import Space

FORMAT = 1
"""Of sweep.json; a file with a higher number is refused."""


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep is made of besides its space; kept in sweep.json.

    Attributes:
        seed: of proposals, searches and evaluations.
        sampler: how hyperparameters are proposed.
        data_root: `--data`, absolute.
        tracking_uri: None for the home's own store.
        storage: where trials leave files, when not in the sweep's folder.
        max_failures: how often a trial whose process was lost is started again.
    """

    seed: int = 0
    sampler: str = "tpe"
    data_root: str | None = None
    tracking_uri: str | None = None
    storage: str | None = None
    max_failures: int = 2


class SweepHandle:
    """A sweep that exists.

    Args:
        home: the home folder.
        folder: the sweep's.
        tracking_uri: in place of the one it was made with (an address with a password is never written down).
    """

    def __init__(self, home: Path, folder: SweepFolder, tracking_uri: str | None = None) -> None:
        self.home = home
        about = read_json(folder.record_file)
        if about.get("format") != FORMAT:
            raise UserError(
                f"{folder.record_file} has format {about.get('format')}, this version reads {FORMAT}",
                hint="the version of pcdarts-tune that made it",
            )
        self.about: dict[str, Any] = about
        self.settings = SweepSettings(**about["settings"])
        storage = self.settings.storage
        self.folder = SweepFolder(folder.path, Path(storage) / folder.name if storage else None)
        self._tracking_uri = tracking_uri

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def space(self) -> Space:
        """The space, as resolved when the sweep was made."""
        import json

        from pcdarts_tune.config import Space

        return Space.model_validate_json(json.dumps(self.about["space"]))

    @cached_property
    def study(self) -> SweepStudy:
        """The Optuna study."""
        return SweepStudy.open(self.folder.study_url, **study_settings(self.space, self.settings))

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
        if self._tracking_uri:
            return check_uri(self._tracking_uri)
        uri = self.settings.tracking_uri
        if uri is None:
            return default_tracking_uri(self.home)
        if uri.startswith("secret:"):
            raise UserError(
                f"sweep {self.name!r} records in {uri.removeprefix('secret:')} under a password, which is not kept",
                hint="give the address again: --tracking-uri URI, or PCDARTS_TUNE_TRACKING_URI",
            )
        return uri

    def store(self) -> MlflowStore:
        """MLflow, for writing."""
        return MlflowStore(self.tracking_uri, artifact_root(self.home))

    @property
    def experiment(self) -> str:
        """The name of the MLflow experiment that holds the sweep's runs."""
        return self.space.name

    def records(self) -> list[TrialRecord]:
        """All trials, best first; in a sweep that nobody runs, those that were running wait to be resumed."""
        records = self.study.records()
        if any(record.state == "running" for record in records) and not is_running(self.folder):
            return ranked([replace(r, state="waiting") if r.state == "running" else r for r in records])
        return records

    def best(self) -> TrialRecord:
        """The complete trial with the highest objective.

        Raises:
            WorkFailed: when no trial is complete.
        """
        records = self.records()
        if not records or records[0].objective is None:
            states = (
                ", ".join(f"{count} {state}" for state, count in counts(records).items())
                or "none were started"
            )
            raise WorkFailed(
                f"sweep {self.name!r} has no complete trial yet ({states})",
                hint=f"pcdarts-tune resume {self.name}"
                if not is_running(self.folder)
                else "wait for the first to end",
            )
        return records[0]

    def record(self, number: int) -> TrialRecord:
        """The trial with that number.

        Raises:
            UserError: when there is none.
        """
        for record in (records := self.records()):
            if record.trial == number:
                return record
        raise UserError(
            f"sweep {self.name!r} has no trial {number}; it has {_numbers(records)}",
            hint=f"pcdarts-tune leaderboard {self.name}",
        )

    def record_of_run(self, run_id: str) -> TrialRecord:
        """The trial whose MLflow run has that id, or one that begins so (8 digits and more).

        Raises:
            UserError: when it is no trial of this sweep.
        """
        found = [r for r in self.records() if r.run_id and len(run_id) >= 8 and r.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        raise UserError(
            f"{run_id!r} is not the run of a trial of sweep {self.name!r}",
            hint=f"pcdarts-tune leaderboard {self.name} --json",
        )

    @property
    def keys(self) -> list[str]:
        """The settings that differ between trials."""
        from pcdarts_tune.recording.naming import ordered_keys

        return ordered_keys(varied(self.space.tune))


def open_sweep(home: Path, name: str, tracking_uri: str | None = None) -> SweepHandle:
    """The sweep called `name`.

    Raises:
        UserError: when there is none, naming those there are.
    """
    return SweepHandle(home, find_sweep(home, name), tracking_uri)


def counts(records: list[TrialRecord]) -> dict[str, int]:
    """How many trials are in each state, those states that occur."""
    from pcdarts_tune.sweeping.outcome import STATES

    return {state: n for state in STATES if (n := sum(record.state == state for record in records))}


def study_settings(space: Space, settings: SweepSettings) -> dict[str, Any]:
    """What `SweepStudy` is made and opened with."""
    from pcdarts_tune.spaces import starting_point

    start = starting_point(space) if space.tune else None
    return {"tune": space.tune, "start": start, "seed": settings.seed, "sampler": settings.sampler}


def _numbers(records: list[TrialRecord]) -> str:
    return f"0 to {len(records) - 1}" if records else "none"
