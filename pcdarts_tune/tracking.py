"""The only writer of sweeps to MLflow, a thin layer over its client: every call is made by the driver, none
by a worker.

    store = MlflowStore("sqlite:////home/me/mlflow.db", artifacts=Path("/home/me/mlartifacts"))
    run = store.open_run("quickstart", {"pcdarts.sweep_id": "1f0c…", "pcdarts.trial": "3"}, name="t03 K=4")
    store.log_epoch(run, {"search/loss_train": 0.4}, step=7)
    store.close_run(run, "FINISHED", {"pcdarts.outcome": "complete"})

A run is found again by the tags that identify it, so that a sweep that is resumed goes on in the same runs.
"""

from __future__ import annotations

import io
import logging
import math
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

OBJECTIVE = "objective"
"""The metric that a trial's run is compared by: the derived network's accuracy on held-out images."""


class MlflowStore:
    """A tracking store.

    Args:
        uri: absolute (`sqlite:////…`, `http://…`).
        artifacts: where files go when the store is a local database; a server has its own place.
    """

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        self.uri, self._artifacts = uri, artifacts
        self._client: MlflowClient | None = None
        self._experiments: dict[str, str] = {}

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; importing MLflow takes seconds, a new database as long again."""
        if self._client is None:
            from mlflow import MlflowClient

            # both announce every migration of a new database on stderr
            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.ERROR)
            self._client = MlflowClient(self.uri, self.uri)
        return self._client

    def experiment(self, name: str) -> str:
        """The id of the experiment called `name`, which is made when there is none."""
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            location = self._artifacts.as_uri() if self._artifacts and self.uri.startswith("sqlite") else None
            self._experiments[name] = (
                found.experiment_id if found is not None else self.client.create_experiment(name, location)
            )
        return self._experiments[name]

    def open_run(
        self,
        experiment: str,
        identity: Mapping[str, str],
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> tuple[str, bool]:
        """The run with the identifying tags, set to running again, or a new one: its id, and whether it is new."""
        experiment_id = self.experiment(experiment)
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        known = self.client.search_runs([experiment_id], wanted, max_results=1)
        if known:
            run_id: str = known[0].info.run_id
            self.client.update_run(run_id, status="RUNNING", name=name)
            return run_id, False
        all_tags = {**(tags or {}), **identity}
        if parent is not None:
            all_tags["mlflow.parentRunId"] = parent
        return self.client.create_run(experiment_id, tags=all_tags, run_name=name).info.run_id, True

    def steps(self, run_id: str, metric: str) -> set[int]:
        """The steps logged of a metric."""
        return {entry.step for entry in self.client.get_metric_history(run_id, metric)}

    def log_epoch(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """All numbers of one epoch in one call; those that are not finite are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [
            Metric(key, float(value), now, step) for key, value in metrics.items() if math.isfinite(value)
        ]
        self.client.log_batch(run_id, metrics=entries)

    def log_parameters(self, run_id: str, values: Mapping[str, str]) -> None:
        """Parameters; MLflow never changes one, and logging the same value again does no harm."""
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(key, value) for key, value in values.items()])

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Tags; a value of None is left out."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value[:5000]) for key, value in tags.items() if value is not None]
        self.client.log_batch(run_id, tags=entries)

    def log_text(self, run_id: str, text: str, file: str) -> None:
        """A text file among the run's artifacts."""
        self.client.log_text(run_id, text, file)

    def log_json(self, run_id: str, value: Any, file: str) -> None:
        """A JSON file among the run's artifacts."""
        self.client.log_dict(run_id, value, file)

    def log_png(self, run_id: str, png: bytes, *, key: str, step: int) -> None:
        """A picture that MLflow shows with a slider over the steps of its key."""
        from PIL import Image

        with Image.open(io.BytesIO(png)) as image:
            self.client.log_image(run_id, image.convert("RGB"), key=key, step=step, synchronous=True)

    def log_dataset(
        self, run_id: str, *, name: str, digest: str, source: str, profile: str, context: str = "search"
    ) -> None:
        """The data set as an input of the run: MLflow's own lineage."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name=name, digest=digest, source_type="local", source=source, profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", context)])])

    def close_run(self, run_id: str, status: str, *, name: str | None = None) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        if name is not None:
            self.client.update_run(run_id, name=name)
        self.client.set_terminated(run_id, status)


def check_uri(uri: str) -> str:
    """The tracking URI, absolute.

    Raises:
        UserError: for a store this cannot write to.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https", "databricks", "databricks-uc") or parts.scheme.startswith(
        ("sqlite", "postgresql", "mysql", "mssql")
    ):
        if parts.scheme == "sqlite" and uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
            return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
        return uri
    raise UserError(
        f"--tracking-uri {without_secret(uri)!r} is no address of an MLflow store",
        hint="http://HOST:PORT of an MLflow server, sqlite:////absolute/path/mlflow.db, or postgresql://USER@HOST/DB",
    )


def require_answer(uri: str) -> None:
    """Look whether a tracking server listens, before work begins that could not be recorded.

    Raises:
        UserError: when nothing answers there; local stores and databases are not asked.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    try:
        with socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 5
        ):
            pass
    except OSError as error:
        raise UserError(
            f"no MLflow server answers at {without_secret(uri)}: {error.strerror or error}",
            hint="start it, or give another with --tracking-uri URI",
        ) from None


def without_secret(uri: str) -> str:
    """The address without user name, password and query: what may be shown and written down."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        if parts.hostname is not None:
            port = f":{parts.port}" if parts.port else ""
            return urlunsplit((parts.scheme, parts.hostname + port, parts.path, "", ""))
    return uri.partition("?")[0]


def has_secret(uri: str) -> bool:
    """Whether an address holds a password or a query that may be one."""
    parts = urlsplit(uri)
    return parts.password is not None or bool(parts.query)
