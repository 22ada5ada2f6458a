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
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.addresses import is_database, sqlite_address, sqlite_file, without_secret
from pcdarts_tune.databases import find_trouble, is_database_error
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, artifact_root
from pcdarts_tune.tracking.moved import follow_home, place_of
from pcdarts_tune.tracking.notes import CONTENT, above, below
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.exceptions import MlflowException


def make_database(uri: str) -> None:
    """Make the database at a `sqlite:////…` address, unless it is there; other addresses are left alone.

    MLflow fills it in fifty steps that take seconds, and one that was cut off in the middle can never be opened again. So it
    is made under another name and moved when it is done.
    """
    path = sqlite_file(uri)
    if path is None or not path.is_absolute() or path.exists() or not path.parent.is_dir():
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
            MlflowClient(sqlite_address(made), sqlite_address(made))
            os.replace(made, path)
    finally:
        os.close(folder)


def is_absent(error: MlflowException) -> bool:
    """Whether MLflow says that there is no such thing, as against that it cannot or will not look."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")


def find_run(client: MlflowClient, run_id: str, *, deleted: bool = False) -> Run | None:
    """The run with that id; None where it is not, or no longer, there; `deleted`: one that was deleted in MLflow too."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if not is_absent(error):
            raise
        return None
    return run if deleted or run.info.lifecycle_stage != "deleted" else None


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

    @classmethod
    def of(cls, where: Where) -> MlflowStore:
        """The store that was named, or the home's own.

        Raises:
            UserError: for an address that names no store.
        """
        return cls(where.mlflow_uri, artifact_root(where.home))

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; importing MLflow takes seconds, a new database as long again.

        Raises:
            UserError: the file is no database, a damaged one, or one of another version.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import DatabaseError, OperationalError

        # they announce every migration of a new database, and the traceback of every error that they raise anyway
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            make_database(self.uri)
            follow_home(self.uri)
            return MlflowClient(self.uri, self.uri)
        except OperationalError:  # locked, full, not to be opened: for whoever tries again
            raise
        except (DatabaseError, MlflowException) as error:
            if isinstance(error, MlflowException) and not is_database_error(error):
                raise
            raise find_trouble(error, self.uri).explain("MLflow's store") from None

    def experiment(self, name: str) -> str:
        """The id of the experiment called `name`, which is made when there is none."""
        if name not in self._experiments:
            if (found := self.client.get_experiment_by_name(name)) is None:
                location = self._artifacts.as_uri() if self._artifacts and is_database(self.uri) else None
                self._experiments[name] = self.client.create_experiment(name, location)
            else:
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)
                self._require_place(found.artifact_location)
                self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def _require_place(self, location: str) -> None:
        """A database beside no home keeps naming a home that has gone, and MLflow would make its folder anew.

        Raises:
            UserError: where that is so.
        """
        if self._artifacts is None or not is_database(self.uri) or not location.startswith("file:"):
            return
        folder = place_of(location)
        if folder.name == self._artifacts.name and folder != self._artifacts and not folder.parent.exists():
            raise UserError(
                f"MLflow's store {without_secret(self.uri)} names files in {folder}, which is gone",
                hint=f"if {self._artifacts.parent} was there: ln -s {self._artifacts.parent} {folder.parent}",
            )

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
        known = self._find_run(experiment_id, wanted)
        if known is not None:
            run = known
            self.client.update_run(run.info.run_id, status="RUNNING", name=name)
        else:
            all_tags = {**(tags or {}), **identity}
            if parent is not None:
                all_tags["mlflow.parentRunId"] = parent
            run = self.client.create_run(experiment_id, start_time=at, tags=all_tags, run_name=name)
        self._started[run.info.run_id] = run.info.start_time
        if content is not None and not (run.inputs and run.inputs.dataset_inputs):
            self._write(run.info.run_id, content())
        return run.info.run_id, known is None

    def _find_run(self, experiment_id: str, wanted: str) -> Run | None:
        """A run that was deleted comes back, as its experiment does: another one like it would be there twice."""
        from mlflow.entities import ViewType

        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
            found = self.client.search_runs([experiment_id], wanted, run_view_type=view, max_results=1)
            if found:
                if view == ViewType.DELETED_ONLY:
                    self.client.restore_run(found[0].info.run_id)
                return found[0]
        return None

    def restore_run(self, run_id: str) -> None:
        """Bring a run back that was deleted; one that is there is left alone."""
        if self.client.get_run(run_id).info.lifecycle_stage == "deleted":
            self.client.restore_run(run_id)

    def tag_related(self, run_id: str | None, tags: Mapping[str, str | None]) -> None:
        """Tags of a run that the present work is related to; nothing where that was deleted."""
        if run_id is not None and (run := find_run(self.client, run_id)) is not None:
            self.set_tags(run.info.run_id, tags)

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
        """Tags; a value of None is left out. A description goes below a note that a person wrote on the run."""
        from mlflow.entities import RunTag

        if described := tags.get(CONTENT):
            note = self.client.get_run(run_id).data.tags.get(Tag.NOTE, "")
            tags = {**tags, CONTENT: above(note, described)}
        entries = [RunTag(key, value[:5000]) for key, value in tags.items() if value is not None]
        self.client.log_batch(run_id, tags=entries)

    def write_note(self, run_id: str, text: str) -> None:
        """A person's note on a run, in place of one that it has; empty for none."""
        tags = self.client.get_run(run_id).data.tags
        described = below(tags.get(Tag.NOTE, ""), tags.get(CONTENT, ""))
        self.client.set_tag(run_id, Tag.NOTE, text)
        self.client.set_tag(run_id, CONTENT, above(text, described)[:5000])
        if not text:
            self.client.delete_tag(run_id, Tag.NOTE)

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
