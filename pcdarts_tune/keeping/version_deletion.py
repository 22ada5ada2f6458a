"""Deleting a version of a registered model: the version, the model that was logged for it, and the runs that had stayed for it
when their sweep was deleted.

    deletion = VersionDeletion.plan(where, "first/2")
    deletion.run(journal)

Its training is recorded in a run of its own, which stays with its sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.journal import Entry, Journal
from pcdarts_tune.keeping.plans import Plan
from pcdarts_tune.keeping.sweep_deletion import KEPT_FOR
from pcdarts_tune.tracking.erase import Eraser, files_size, logged_model_of
from pcdarts_tune.tracking.registry import CHAMPION, ModelName, find_version, store_uri
from pcdarts_tune.tracking.store import MlflowStore, find_run, is_absent
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class VersionDeletion:
    """One version on its way out."""

    where: Where
    entry: Entry

    @classmethod
    def plan(cls, where: Where, text: str, *, champion: bool = False) -> VersionDeletion:
        """A deletion that has not begun.

        Args:
            text: `name/version` or `name@alias`.
            champion: whether it may be the champion.

        Raises:
            UserError: there is no such version, or it is the champion.
        """
        client = MlflowStore(store_uri(where)).client
        wanted = ModelName.parse(text)
        version = client.get_model_version(wanted.name, str(find_version(client, wanted)))
        reference = f"{version.name}/{version.version}"
        if CHAMPION in version.aliases and not champion:
            raise UserError(
                f"{reference} is the champion of {version.name!r}: whoever loads {version.name}@champion would find nothing",
                hint=f"pcdarts-tune rollback {version.name}{where.home_flag} makes another version champion; --champion "
                "deletes it all the same",
            )
        runs = [version.run_id] if version.run_id else []
        if runs and (run := find_run(client, runs[0])) is not None:
            runs += [run.data.tags[tag] for tag in KEPT_FOR if tag in run.data.tags]
        about = {
            "model": version.name,
            "version": int(version.version),
            "created": int(version.creation_timestamp),
            "model_id": logged_model_of(version),
            "runs": runs,
        }
        return cls(where, Entry("model", reference, about))

    @classmethod
    def again(cls, where: Where, entry: Entry) -> VersionDeletion:
        """One that was interrupted."""
        return cls(where, entry)

    @cached_property
    def eraser(self) -> Eraser:
        """Removes from the store that the version is in."""
        return Eraser(MlflowStore(store_uri(self.where)))

    @property
    def said(self) -> Plan:
        """What goes and what stays."""
        name, about = self.entry.name, self.entry.about
        plan = Plan(f"delete version {about['version']} of the model {about['model']!r}:")
        model = self._logged_model()
        plan.add("version", 1, 0 if model is None else files_size(model.artifact_location))
        runs = self._unneeded()
        plan.add(
            "runs of a sweep that was deleted, with their files",
            len(runs),
            sum(files_size(run.info.artifact_uri) for run in runs),
        )
        if about["runs"] and not runs:
            plan.stays.append(f"the run {about['runs'][0]} that trained it")
        if len([each for each in self.eraser.versions() if each.name == about["model"]]) == 1:
            plan.notes.append(f"it is the last version: no model {about['model']!r} is left")
        for run in self.eraser.runs(Tag.BASE_MODEL, name):
            plan.notes.append(f"{run.info.run_name} was fine-tuned from it, and can then not be reproduced")
        return plan

    def run(self, journal: Journal) -> None:
        """Do it, or what is left of it.

        Raises:
            UserError: the store does not answer.
            WorkFailed: something cannot be removed; the same deletion goes on with it later.
        """
        journal.begin(self.entry)
        about, eraser = self.entry.about, self.eraser
        if any(self._is_it(each) for each in eraser.versions()):
            eraser.erase_version(about["model"], about["version"])
        else:
            eraser.forget_empty(about["model"])
        if (model := self._logged_model()) is not None:
            eraser.erase_model(model)
        for run in self._unneeded():
            eraser.erase_run(run)
        journal.finish(self.entry)

    def _is_it(self, version: ModelVersion) -> bool:
        """And not another that was given its number after it had gone."""
        about = self.entry.about
        found = (version.name, int(version.version), int(version.creation_timestamp))
        return found == (about["model"], about["version"], about["created"])

    def _others(self) -> list[ModelVersion]:
        return [each for each in self.eraser.versions() if not self._is_it(each)]

    def _logged_model(self) -> LoggedModel | None:
        """The model that was logged for it, unless it has gone or another version is made of it."""
        from mlflow.exceptions import MlflowException

        model_id = self.entry.about["model_id"]
        if not model_id or any(logged_model_of(each) == model_id for each in self._others()):
            return None
        try:
            return self.eraser.store.client.get_logged_model(model_id)
        except MlflowException as error:
            if not is_absent(error):
                raise
            return None

    def _unneeded(self) -> list[Run]:
        """The runs that stayed for it alone."""
        ids = self.entry.about["runs"]
        needed = {each.run_id for each in self._others()}
        for tag in KEPT_FOR:
            for run_id in ids:
                users = self.eraser.runs(tag, run_id)
                needed |= {run_id for run in users if run.info.run_id not in ids}
        found = [self.eraser.run(run_id) for run_id in ids if run_id not in needed]
        return [run for run in found if run is not None and Tag.SWEEP_DELETED in run.data.tags]
