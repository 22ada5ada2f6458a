"""The only writer to MLflow: a thin layer over its client, which the driver calls and no worker.

    store = MlflowStore("sqlite:////home/me/mlflow.db", artifacts=Path("/home/me/mlartifacts"))
    run, fresh = store.open_run("quickstart", {Tag.SWEEP_ID: "1f0c…", Tag.TRIAL: "3"}, name="t03 K=4")
    store.log_epoch(run, {"search/loss_train": 0.4}, step=7)

A run is found again by the tags that identify it, so a sweep that is resumed goes on in the same runs. Pictures and
files written twice are there once; numbers are not, see run.py.
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pcdarts_tune.addresses import engine_url, is_database, is_postgresql, keep_secret, masked, without_secret
from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def make_database(uri: str) -> None:
    """Make the database at a `sqlite:////…` address, unless it is there; other addresses are left alone.

    MLflow fills it in fifty steps that take seconds, and one that was cut off in the middle can never be opened again. So it
    is made under another name and moved when it is done.
    """
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:////") or path.exists() or not path.parent.is_dir():
        return
    import fcntl

    from mlflow import MlflowClient

    # a name of its own: MLflow remembers the addresses that a process has used
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # one process at a time, where the file system has locks; a killed one holds nobody up
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            for leftover in path.parent.glob(f".{path.name}.*.new*"):
                leftover.unlink(missing_ok=True)
            MlflowClient(f"sqlite:///{made}", f"sqlite:///{made}")
            os.replace(made, path)
    finally:
        os.close(folder)


OBJECTIVE = "objective"
"""The metric that a trial's run is compared by: the derived network's score, such as its accuracy on held-out images."""
STANDARD_ERROR = "objective_se"
"""The metric that says how sure it is."""


@dataclass(frozen=True)
class Content:
    """What a run holds from its beginning.

    Attributes:
        files: name -> text, or a value that becomes JSON.
        pictures: key -> PNG, shown at step 0.
        dataset: `name`, `digest`, `source` and `profile`, for MLflow's own lineage; `context`: what it is used for.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    dataset: Mapping[str, str] | None = None
    context: str = "search"


class MlflowStore:
    """A tracking store.

    Args:
        uri: absolute (`sqlite:////…`, `http://…`).
        artifacts: where files go when the store is a local database; a server has its own place.
    """

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        self.uri, self._artifacts = uri, artifacts
        self._experiments: dict[str, str] = {}
        self._started: dict[str, int] = {}

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; importing MLflow takes seconds, a new database as long again.

        Raises:
            UserError: the file is no database, or a damaged one.
        """
        from mlflow import MlflowClient
        from sqlalchemy.exc import DatabaseError, OperationalError

        # they announce every migration of a new database, and the traceback of every error that they raise anyway
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            make_database(self.uri)
            return MlflowClient(self.uri, self.uri)
        except OperationalError:  # locked, full, not to be opened: for whoever tries again
            raise
        except DatabaseError as error:
            raise UserError(
                f"MLflow's store {without_secret(self.uri)} cannot be read: {masked(str(error.orig))}",
                hint="restore it from a copy, or record elsewhere with --tracking-uri or --home",
            ) from None

    def experiment(self, name: str) -> str:
        """The id of the experiment called `name`, which is made when there is none."""
        if name not in self._experiments:
            if (found := self.client.get_experiment_by_name(name)) is None:
                location = self._artifacts.as_uri() if self._artifacts and is_database(self.uri) else None
                self._experiments[name] = self.client.create_experiment(name, location)
            else:
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)
                self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def open_run(
        self,
        experiment: str,
        identity: Mapping[str, str],
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
        content: Callable[[], Content] | None = None,
        at: int | None = None,
    ) -> tuple[str, bool]:
        """The run with the identifying tags, set to running again, or a new one: its id, and whether it is new.

        Args:
            content: gives what the run holds from its beginning; written until its data set, which is logged last, is
                there, so that a beginning that was cut off is made up for.
            at: when it began, in milliseconds since 1970; None for now.
        """
        experiment_id = self.experiment(experiment)
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        known = self.client.search_runs([experiment_id], wanted, max_results=1)
        if known:
            run = known[0]
            self.client.update_run(run.info.run_id, status="RUNNING", name=name)
        else:
            all_tags = {**(tags or {}), **identity}
            if parent is not None:
                all_tags["mlflow.parentRunId"] = parent
            run = self.client.create_run(experiment_id, start_time=at, tags=all_tags, run_name=name)
        self._started[run.info.run_id] = run.info.start_time
        if content is not None and not (run.inputs and run.inputs.dataset_inputs):
            self._write(run.info.run_id, content())
        return run.info.run_id, not known

    def _write(self, run_id: str, content: Content) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        if content.parameters:  # MLflow never changes one; the same value again does no harm
            entries = [Param(key, str(value)) for key, value in content.parameters.items()]
            self.client.log_batch(run_id, params=entries)
        for name, value in content.files.items():
            self.log_file(run_id, value, name)
        for key, png in content.pictures.items():
            self.log_png(run_id, png, key=key, step=0)
        if content.dataset is not None:
            data = Dataset(source_type="local", **content.dataset)
            used = [InputTag("mlflow.data.context", content.context)]
            self.client.log_inputs(run_id, [DatasetInput(data, used)])

    def steps(self, run_id: str, metric: str) -> set[int]:
        """The steps logged of a metric."""
        return {entry.step for entry in self.client.get_metric_history(run_id, metric)}

    def log_epoch(
        self, run_id: str, metrics: Mapping[str, float], step: int, *, at: int | None = None
    ) -> None:
        """All numbers of one epoch in one call; those that are not finite are left out. `at`: when, in ms since 1970."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000) if at is None else at
        entries = [
            Metric(key, float(value), now, step) for key, value in metrics.items() if math.isfinite(value)
        ]
        self.client.log_batch(run_id, metrics=entries)

    def set_tags(self, run_id: str, tags: Mapping[str, str | None]) -> None:
        """Tags; a value of None is left out."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value[:5000]) for key, value in tags.items() if value is not None]
        self.client.log_batch(run_id, tags=entries)

    def set_experiment_tag(self, experiment: str, key: str, value: str) -> None:
        """A tag of the experiment called `experiment`."""
        self.client.set_experiment_tag(self.experiment(experiment), key, value)

    def log_file(self, run_id: str, value: Any, name: str) -> None:
        """A file among the run's artifacts: a text as it is, any other value as JSON."""
        if isinstance(value, str):
            self.client.log_text(run_id, value, name)
        else:
            self.client.log_dict(run_id, value, name)

    def log_png(self, run_id: str, png: bytes, *, key: str, step: int) -> None:
        """A picture that MLflow shows with a slider over the steps of its key; `MlflowClient.log_image` would name it by time
        and chance, and a second attempt double it: here its names follow from its run, key and step."""
        from mlflow.tracking.multimedia import compress_image_size
        from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
        from PIL import Image

        if run_id not in self._started:
            self._started[run_id] = self.client.get_run(run_id).info.start_time
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{key}/{step}")
        stem = f"{key}+step+{step}+timestamp+{self._started[run_id]}+{identity}"
        with Image.open(io.BytesIO(png)) as image, tempfile.TemporaryDirectory() as folder:
            whole = image.convert("RGB")
            whole.save(Path(folder) / f"{stem}.png")
            compress_image_size(whole).save(Path(folder) / f"{stem}+compressed.webp")
            self.client.log_artifacts(run_id, folder, "images")
        self.client.set_tag(run_id, MLFLOW_LOGGED_IMAGES, "True")

    def close_run(self, run_id: str, status: str, *, name: str | None = None, at: int | None = None) -> None:
        """End a run as FINISHED, FAILED or KILLED. `at`: when, in ms since 1970; None for now."""
        if name is not None:
            self.client.update_run(run_id, name=name)
        self.client.set_terminated(run_id, status, end_time=at)


class NoAnswer(UserError):
    """Nobody answers at a store's address; that may pass."""


def require_answer(uri: str) -> None:
    """Look whether a tracking server listens, before work begins that could not be recorded.

    Raises:
        NoAnswer: when nothing answers there; SQLite is not asked.
        UserError: when PostgreSQL lets nobody in.
    """
    keep_secret(uri)
    if is_postgresql(uri):
        _require_database(uri)
        return
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), 5).close()
    except OSError as error:
        raise NoAnswer(
            f"no MLflow server answers at {without_secret(uri)}: {error.strerror or error}",
            hint="start it, or give another with --tracking-uri URI",
        ) from None


def _require_database(uri: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    engine = sqlalchemy.create_engine(engine_url(uri), connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        said = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        away = re.search("refused|timeout|timed out|could not translate|starting up", said.lower())
        raise (NoAnswer if away else UserError)(
            f"MLflow's store {without_secret(uri)} cannot be opened: {masked(said)}",
            hint="the password goes into --tracking-uri or PCDARTS_TUNE_TRACKING_URI, or where libpq looks "
            "(PGPASSWORD, ~/.pgpass); it is never written down",
        ) from None
    finally:
        engine.dispose()
