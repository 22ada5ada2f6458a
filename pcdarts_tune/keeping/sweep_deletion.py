"""Deleting a sweep: its runs and their files in MLflow, its study, its trials wherever they are, its folder.

    deletion = SweepDeletion.plan(open_sweep(where, "first"))
    print("\\n".join(deletion.said.lines()))
    deletion.run(journal)

What others need stays: the run that a registered model was made of, with the trial that its cells are from, and the folder of a
model that another was fine-tuned from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import remove_tree, size_of
from pcdarts_tune.home import SweepFolder, Where, is_running, sweep_lock
from pcdarts_tune.keeping.journal import Entry, Journal
from pcdarts_tune.keeping.plans import Plan
from pcdarts_tune.places import place_at
from pcdarts_tune.sweeps.study.storage import StudyLock, erase_study
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tracking.erase import Eraser, files_size, logged_model_of
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.tracking.view import view_key, view_tag

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run

KEPT_FOR = (Tag.TRIAL_RUN, Tag.SEARCH_RUN)
"""Tags of a registered model's run that name where its cells are from."""


@dataclass(frozen=True)
class TrackedSweep:
    """What MLflow has of a sweep.

    Attributes:
        runs: all of them, whatever their kind; `kept`: ids of those that stay -> the version that needs them.
        models: that its runs have logged and no version was made of.
        needed: folders among its promotions from which another model was fine-tuned.
    """

    eraser: Eraser
    runs: list[Run]
    kept: dict[str, str]
    models: list[LoggedModel]
    needed: tuple[str, ...]

    @classmethod
    def of(cls, sweep: SweepHandle) -> TrackedSweep:
        """Asks the store."""
        eraser = Eraser(sweep.store())
        runs = eraser.runs(Tag.SWEEP_ID, sweep.about["id"])
        ids = {run.info.run_id: run for run in runs}
        versions = eraser.versions() if runs else []
        kept: dict[str, str] = {}
        for version in versions:
            run = ids.get(version.run_id or "")
            if run is not None:
                reference = f"{version.name}/{version.version}"
                for run_id in (run.info.run_id, *(run.data.tags.get(tag) for tag in KEPT_FOR)):
                    if run_id in ids:
                        kept.setdefault(str(run_id), reference)
        experiments = {run.info.experiment_id for run in runs}
        logged = [model for each in experiments for model in eraser.logged_models(each)]
        registered = {logged_model_of(version) for version in versions}
        models = [
            model for model in logged if model.source_run_id in ids and model.model_id not in registered
        ]
        return cls(eraser, runs, kept, models, _bases(eraser, sweep, set(ids)))

    @property
    def gone(self) -> list[Run]:
        """The runs that are erased: those nested under another first."""
        nested = [run for run in self.runs if run.info.run_id not in self.kept]
        return sorted(nested, key=lambda run: run.data.tags.get(Tag.KIND) == "sweep")

    def erase(self, sweep: SweepHandle) -> None:
        """Remove all but what stays."""
        store, today = self.eraser.store, time.strftime("%Y-%m-%d")
        for run_id in self.kept:
            store.set_tags(run_id, {Tag.SWEEP_DELETED: today})
        for model in self.models:
            self.eraser.erase_model(model)
        for run in self.gone:
            self.eraser.erase_run(run)
        self.eraser.forget_view(sweep.experiment, view_tag(view_key(sweep.name, sweep.about["id"])))


def _bases(eraser: Eraser, sweep: SweepHandle, own: set[str]) -> tuple[str, ...]:
    """Folders among the promotions of a sweep from which a run that is not its own was fine-tuned."""
    promotions = sweep.where.home.absolute() / "sweeps" / sweep.name / "promotions"
    found = set()
    for run in eraser.runs_like(Tag.BASE_MODEL, "%/promotions/%"):
        path = Path(run.data.tags[Tag.BASE_MODEL])
        if run.info.run_id not in own and path.is_relative_to(promotions):
            found.add(path.relative_to(promotions).parts[0])
    return tuple(sorted(found))


@dataclass(frozen=True)
class SweepDeletion:
    """One sweep on its way out; `sweep` is None once its record has gone, and with it all but files."""

    where: Where
    entry: Entry
    sweep: SweepHandle | None

    @classmethod
    def plan(cls, sweep: SweepHandle, *, keep_runs: bool = False) -> SweepDeletion:
        """A deletion that has not begun.

        Args:
            keep_runs: leave MLflow as it is.

        Raises:
            UserError: the sweep runs, is being promoted, or keeps files where they cannot be looked at.
        """
        _refuse_busy(sweep)
        about = {"id": sweep.about["id"], "keep_runs": keep_runs, "needed": []}
        deletion = cls(sweep.where, Entry("sweep", sweep.name, about), sweep)
        if not keep_runs:
            about["needed"] = list(deletion.tracked.needed)
        return deletion

    @classmethod
    def again(cls, where: Where, entry: Entry) -> SweepDeletion:
        """One that was interrupted."""
        journal = Journal(where.home)
        for path in (journal.place(entry) / entry.name, SweepFolder.of(where.home, entry.name).path):
            if (path / "sweep.json").is_file():
                sweep = SweepHandle(where, SweepFolder(path))
                if sweep.about["id"] == entry.about["id"]:
                    return cls(where, entry, sweep)
        return cls(where, entry, None)

    @cached_property
    def tracked(self) -> TrackedSweep:
        """What MLflow has of it."""
        assert self.sweep is not None, "asked while there is a record"
        return TrackedSweep.of(self.sweep)

    @property
    def said(self) -> Plan:
        """What goes and what stays."""
        sweep, plan = self.sweep, Plan(f"delete sweep {self.entry.name!r}:")
        if sweep is None:
            return plan
        kept = [self._promotions(sweep) / name for name in self.entry.about["needed"]]
        plan.add("folder", 1, size_of(sweep.folder.path) - sum(map(size_of, kept)))
        plan.stays += [f"{path}, from which another model was fine-tuned" for path in kept]
        if sweep.settings.storage is not None:
            plan.add(
                f"folder {sweep.settings.storage}", 1, sum(place_at(_own_storage(sweep)).files().values())
            )
        if sweep.settings.study_uri is not None:
            plan.add(f"study {sweep.study_name} in {sweep.settings.study_uri}", 1, 0)
        if self.entry.about["keep_runs"]:
            plan.stays.append("what MLflow has of it (--keep-runs)")
            return plan
        runs, models = self.tracked.gone, self.tracked.models
        size = sum(files_size(run.info.artifact_uri) for run in runs)
        plan.add("runs in MLflow with their files", len(runs), size)
        plan.add(
            "models that are not registered",
            len(models),
            sum(files_size(m.artifact_location) for m in models),
        )
        for reference in sorted(set(self.tracked.kept.values())):
            plan.stays.append(
                f"{reference} with the runs that it comes from: pcdarts-tune delete {reference}"
                f"{self.where.home_flag} removes them"
            )
        return plan

    def run(self, journal: Journal) -> None:
        """Do it, or what is left of it.

        Raises:
            UserError: the sweep runs; a store does not answer.
            WorkFailed: something cannot be removed; the same deletion goes on with it later.
        """
        with nullcontext() if self.sweep is None else _locked(self.sweep):
            journal.begin(self.entry)
            sweep = self._move_away(journal)
            if sweep is not None:
                if not self.entry.about["keep_runs"]:
                    TrackedSweep.of(sweep).erase(sweep)
                if sweep.settings.study_uri is not None:
                    erase_study(sweep.study_url, sweep.study_name)
                if sweep.settings.storage is not None:
                    place_at(_own_storage(sweep)).clear()
            journal.finish(self.entry)

    def _move_away(self, journal: Journal) -> SweepHandle | None:
        """From here on there is no sweep of that name, and what was begun is always ended."""
        if self.sweep is None:
            return None
        place, path = journal.place(self.entry) / self.entry.name, self.sweep.folder.path
        if path != place:
            remove_tree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, place)
        back = SweepFolder.of(self.where.home, self.entry.name).path / "promotions"
        for name in self.entry.about["needed"]:
            if (place / "promotions" / name).exists() and not (back / name).exists():
                back.mkdir(parents=True, exist_ok=True)
                os.rename(place / "promotions" / name, back / name)
        return SweepHandle(self.where, SweepFolder(place))

    @staticmethod
    def _promotions(sweep: SweepHandle) -> Path:
        return sweep.folder.path / "promotions"


def _own_storage(sweep: SweepHandle) -> str:
    """The sweep's own place among those of others.

    Raises:
        UserError: its address does not bear the sweep's name: it may be another's.
    """
    address, own = str(sweep.settings.storage), f"{sweep.name}-{sweep.about['id'][:8]}"
    if address.partition("?")[0].rstrip("/").rpartition("/")[2] != own:
        raise UserError(
            f"the storage of sweep {sweep.name!r}, {address}, is not called {own}: it may hold other things",
            hint="put right what is in sweep.json, or remove it by hand",
        )
    return address


def _refuse_busy(sweep: SweepHandle) -> None:
    with _locked(sweep):
        pass
    for lock in sorted((sweep.folder.path / "promotions").glob("*/lock")):
        if is_running(SweepFolder(lock.parent)):
            holder = lock.read_text(encoding="utf-8", errors="replace").strip() or "another process"
            raise UserError(
                f"sweep {sweep.name!r} is being promoted, by {holder}",
                hint="wait for it, or stop that process",
            )


@contextmanager
def _locked(sweep: SweepHandle) -> Iterator[None]:
    """As `SweepHandle.lock`, and without the study, which may have gone already."""
    shared: Any = nullcontext()
    if sweep.settings.study_uri is not None:
        shared = StudyLock(sweep.study_url, sweep.study_name, sweep.name)
    with sweep_lock(sweep.folder), shared:
        yield
