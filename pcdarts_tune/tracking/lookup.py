"""MLflow, for reading: runs by id or tag, what they kept, versions of models.

runs = RunReader(uri)
run = runs.starting_with("4f0c91d2")
runs.tagged(Tag.TRIAL_RUN, run.info.run_id)
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.addresses import sqlite_address
from pcdarts_tune.databases import find_trouble, open_read_only
from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.scope import pointed_at, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

SHORTEST = 6
"""A run id is recognised by as many of its digits, or more."""


class RunReader:
    """A tracking store that is only read.

    Raises:
        UserError: on the first question, when no server answers.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client."""
        # not at the top: the shell's completion imports this module
        from pcdarts_tune.tracking.reach import require_answer
        from pcdarts_tune.tracking.store import MlflowStore

        require_answer(self.uri)
        return MlflowStore(self.uri).client

    @cached_property
    def experiments(self) -> list[str]:
        """All experiments' ids."""
        return [experiment.experiment_id for experiment in self.client.search_experiments()]

    def run(self, run_id: str) -> Run | None:
        """The run with that id; None where it is not, or no longer, there."""
        from pcdarts_tune.tracking.store import find_run

        return find_run(self.client, run_id)

    def starting_with(self, text: str) -> Run | None:
        """The run whose id is, or begins with, `text`; None where there is none.

        Raises:
            UserError: when several begin so, naming them.
        """
        digits = text.lower()
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},32}}", digits) or not self.experiments:
            return None
        found = self.client.search_runs(
            self.experiments, f"attributes.run_id LIKE '{digits}%'", max_results=5
        )
        if len(found) > 1:
            names = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in found)
            raise UserError(f"several runs begin with {text!r}: {names}", hint="give more digits")
        return found[0] if found else None

    def tagged(self, tag: str, value: str | None) -> list[Run]:
        """The runs with that tag, oldest first."""
        if not value or not self.experiments:
            return []
        wanted = f"tags.`{tag}` = '{value}'"
        order = ["attributes.start_time ASC"]
        return list(self.client.search_runs(self.experiments, wanted, order_by=order, max_results=1000))

    def json(self, run: Run, file: str) -> Any:
        """A JSON file of the run, None where it has none.

        Raises:
            UserError: its files cannot be looked at.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        # not at the top: the shell's completion imports this module
        from pcdarts_tune.tracking.outbox import describe_error

        try:
            with quiet(), pointed_at(self.uri):
                return mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{file}")
        except (MlflowException, OSError) as error:
            said = describe_error(error)
            # anything else is how stores of several kinds say that there is no such file
            if isinstance(error, PermissionError) or re.search(r"^no answer|\b40[13]\b", said):
                message = f"the files of run {run.info.run_id} cannot be read: {said}"
                hint = "the server of its artifacts, its user name and password; or who may read mlartifacts in the home"
                raise UserError(message, hint=hint) from None
            return None

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """The model versions that were registered from a run."""
        return list(self.client.search_model_versions(f"run_id='{run_id}'"))

    def series(self, run: Run) -> dict[str, dict[int, float]]:
        """Every metric of the run: step -> value."""
        keys = sorted(run.data.metrics)
        history = self.client.get_metric_history
        return {key: {point.step: point.value for point in history(run.info.run_id, key)} for key in keys}


_DELETED = "Deleted_Internal"
"""The stage of a version that was deleted: MLflow keeps its row."""


@dataclass(frozen=True)
class VersionEntry:
    """A version of a registered model, as a list shows it; `created` in milliseconds since 1970."""

    model: str
    version: int
    aliases: tuple[str, ...]
    created: int
    run_id: str
    source: str
    tags: Mapping[str, str]


def registered_versions(home: Path) -> list[VersionEntry]:
    """All versions of the registered models in the home's own store, by model and number, from its SQLite file itself.
    Empty where there is no such file.

    Raises:
        UserError: the file is not as MLflow writes it.
    """
    file = home / "mlflow.db"
    if not file.is_file():
        return []
    try:
        with closing(open_read_only(file, timeout=2.0)) as database:
            aliases: dict[tuple[str, int], list[str]] = {}
            for name, version, alias in database.execute(
                "SELECT name, version, alias FROM registered_model_aliases"
            ):
                aliases.setdefault((name, int(version)), []).append(alias)
            tags: dict[tuple[str, int], dict[str, str]] = {}
            for name, version, key, value in database.execute(
                "SELECT name, version, key, value FROM model_version_tags"
            ):
                tags.setdefault((name, int(version)), {})[key] = value
            rows = database.execute(
                "SELECT name, version, creation_time, run_id, coalesce(storage_location, source) FROM model_versions "
                "WHERE current_stage IS NOT ? ORDER BY name, version",
                (_DELETED,),
            ).fetchall()
    except sqlite3.Error as error:
        raise find_trouble(error, sqlite_address(file)).explain("MLflow's store") from None
    return [
        VersionEntry(
            name,
            int(version),
            tuple(sorted(aliases.get((name, int(version)), ()))),
            int(created or 0),
            run_id or "",
            source or "",
            tags.get((name, int(version)), {}),
        )
        for name, version, created, run_id, source in rows
    ]


def registered_models(home: Path) -> dict[str, list[str]]:
    """Name of a registered model -> its aliases and versions, `first@champion`, `first/2`; from the home's SQLite file
    itself, in milliseconds where MLflow takes seconds. Empty where the file is not there or not as expected."""
    try:
        with closing(open_read_only(home / "mlflow.db", timeout=0.2)) as database:
            found: dict[str, list[str]] = {
                name: [] for (name,) in database.execute("SELECT name FROM registered_models ORDER BY name")
            }
            for name, alias in database.execute("SELECT name, alias FROM registered_model_aliases"):
                found[name].append(f"{name}@{alias}")
            for name, version in database.execute(
                "SELECT name, version FROM model_versions WHERE current_stage IS NOT ? ORDER BY version",
                (_DELETED,),
            ):
                found[name].append(f"{name}/{version}")
            return found
    except (KeyError, sqlite3.Error):
        return {}
