"""Removing from MLflow for good: runs, logged models and their files, versions of registered models.

    eraser = Eraser(store)
    runs = eraser.runs(Tag.SWEEP_ID, "1f0c…")
    eraser.erase_run(runs[0])
    eraser.erase_version("first", 2)

A database forgets what is erased, as `mlflow gc` makes it. A server marks it as deleted, until `mlflow gc`
runs there; its files are gone at once. Everything can be erased again: what has gone is no error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.addresses import is_database, sqlite_file
from pcdarts_tune.errors import WorkFailed, one_line
from pcdarts_tune.files import size_of
from pcdarts_tune.tracking.moved import place_of
from pcdarts_tune.tracking.reach import require_answer
from pcdarts_tune.tracking.scope import pointed_at, quiet
from pcdarts_tune.tracking.store import MlflowStore, find_run, is_absent

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Eraser:
    """Removes from one store."""

    store: MlflowStore

    @property
    def empty(self) -> bool:
        """Whether there is no store yet: looking must not make one."""
        file = sqlite_file(self.store.uri)
        return file is not None and not file.exists()

    def runs(self, tag: str, value: str) -> list[Run]:
        """The runs with that tag, those that were deleted in MLflow too."""
        return self._search(f"tags.`{tag}` = '{value}'", deleted=True)

    def runs_like(self, tag: str, pattern: str) -> list[Run]:
        """The runs whose tag is like an SQL pattern."""
        return self._search(f"tags.`{tag}` LIKE '{pattern}'", deleted=False)

    def run(self, run_id: str) -> Run | None:
        """The run with that id, one that was deleted in MLflow too; None where there is none."""
        return find_run(self.store.client, run_id, deleted=True)

    def _search(self, wanted: str, *, deleted: bool) -> list[Run]:
        from mlflow.entities import ViewType

        if self.empty:
            return []
        require_answer(self.store.uri)
        client = self.store.client
        experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        if not experiments:
            return []
        return _all_pages(
            lambda token: client.search_runs(experiments, wanted, view, max_results=1000, page_token=token)
        )

    def versions(self) -> list[ModelVersion]:
        """All versions of registered models."""
        search = self.store.client.search_model_versions
        return _all_pages(lambda token: search(max_results=1000, page_token=token))

    def logged_models(self, experiment_id: str) -> list[LoggedModel]:
        """The models that the runs of an experiment have logged."""
        search = self.store.client.search_logged_models
        return _all_pages(lambda token: search([experiment_id], page_token=token))

    def erase_run(self, run: Run) -> None:
        """Remove a run and its files."""
        with _explained(f"run {run.info.run_id}"), quiet(), pointed_at(self.store.uri):
            if run.info.lifecycle_stage != "deleted":
                self.store.client.delete_run(run.info.run_id)
            _remove_files(run.info.artifact_uri, run.info.run_id)
            if self._backend is not None:
                self._backend._hard_delete_run(run.info.run_id)

    def erase_model(self, model: LoggedModel) -> None:
        """Remove a logged model and its files."""
        with _explained(f"model {model.model_id}"), quiet(), pointed_at(self.store.uri):
            _remove_files(model.artifact_location, model.model_id)
            if self._backend is not None:
                self._backend._hard_delete_logged_model(model.model_id)
            else:
                self.store.client.delete_logged_model(model.model_id)

    def erase_version(self, name: str, version: int) -> None:
        """Remove a version of a registered model, and the model where it was its last."""
        with _explained(f"{name}/{version}"):
            self.store.client.delete_model_version(name, str(version))
        self.forget_empty(name)

    def forget_empty(self, name: str) -> None:
        """Remove a registered model that has no version."""
        if not any(each.name == name for each in self.versions()):
            with _explained(name):
                self.store.client.delete_registered_model(name)

    def forget_view(self, experiment: str, tag: str) -> None:
        """Remove a tag of an experiment."""
        found = None if self.empty else self.store.client.get_experiment_by_name(experiment)
        if found is not None and tag in found.tags:
            with _explained(f"the tag {tag}"):
                self.store.client.delete_experiment_tag(found.experiment_id, tag)

    @property
    def _backend(self) -> Any:
        """MLflow's own access to a database, which can delete for good; None for a server, whose client cannot. MLflow has
        no public name for it: `mlflow gc` uses the same, and would take everything else that is marked as deleted along."""
        backend = self.store.client._tracking_client.store
        whole = is_database(self.store.uri) and hasattr(backend, "_hard_delete_run")
        return backend if whole and hasattr(backend, "_hard_delete_logged_model") else None


def _all_pages(fetch: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = fetch(token)
        found += page
        token = page.token
        if not token:
            return found


def logged_model_of(version: ModelVersion) -> str | None:
    """The id of the logged model that a version was made of: MLflow keeps it in the version's source alone, `models:/m-…` or
    the address of its files."""
    found = re.search(r"\bm-[0-9a-f]{32}\b", version.source or "")
    return found[0] if found else None


def files_size(address: str | None) -> int:
    """Bytes of the files at an address in MLflow's records; 0 where they are not on this machine."""
    local = _local(address)
    return 0 if local is None else size_of(local)


def _local(address: str | None) -> Path | None:
    return place_of(address) if address and address.startswith(("file:", "/")) else None


def _remove_files(address: str | None, identity: str) -> None:
    """The files of a run or model; `identity` is a part of every place that MLflow has made for it."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if not address or identity not in address:
        return
    with suppress(FileNotFoundError):
        repository: Any = get_artifact_repository(address)
        repository.delete_artifacts()
    local = _local(address)
    if local is not None and local.parent.name == identity:
        with suppress(OSError):  # not empty, or gone
            local.parent.rmdir()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """What has gone already is gone.

    Raises:
        WorkFailed: the store or its files do not let it go.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if not is_absent(error):
            raise WorkFailed(
                f"{what} could not be removed from MLflow: {one_line(error)}",
                hint="the same command goes on with it",
            ) from None
    except OSError as error:
        raise WorkFailed(
            f"the files of {what} could not be removed: {error}",
            hint="see to it, then the same command goes on with it",
        ) from None
