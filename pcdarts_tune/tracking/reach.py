"""Whether a tracking store answers, takes what is written and has tables of the right version: asked before work begins.

require_answer("http://127.0.0.1:5000")
require_store(MlflowStore(uri, artifacts), "quickstart")
"""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

from pcdarts_tune.addresses import (
    engine_url,
    is_postgresql,
    keep_secret,
    masked_line,
    sqlite_file,
    without_secret,
)
from pcdarts_tune.databases import find_trouble, is_database_error
from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.outbox import describe_error
from pcdarts_tune.tracking.scope import answering_at_once
from pcdarts_tune.tracking.store import MlflowStore
from pcdarts_tune.tracking.tags import Tag


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


def require_store(store: MlflowStore, experiment: str) -> None:
    """Look whether a store can be read and written to, before work begins that could not be recorded. A SQLite file that is
    not there yet is left to be made.

    Args:
        experiment: made where there is none, and given a tag: some servers let everybody read.

    Raises:
        NoAnswer: nothing answers there.
        UserError: it refuses, or is of another version.
        WorkFailed: it is locked, or its disk is full.
    """
    uri = store.uri
    require_answer(uri)
    if (file := sqlite_file(uri)) is not None and not file.exists():
        return
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with answering_at_once():
            store.set_experiment_tag(experiment, Tag.SPACE, experiment)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if is_database_error(error):
            raise find_trouble(error, uri).explain("MLflow's store") from None
        said = describe_error(error)
        if said.startswith("no answer"):
            raise NoAnswer(
                f"MLflow's store {without_secret(uri)}: {said}", hint="is it overloaded?"
            ) from None
        raise UserError(
            f"MLflow's store {without_secret(uri)} refuses: {said}",
            hint="the right user name and password (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD) or token "
            "(MLFLOW_TRACKING_TOKEN), an MLflow server of the same major version, or another --tracking-uri",
        ) from None


def _require_database(uri: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    engine = sqlalchemy.create_engine(engine_url(uri), connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        said = masked_line(getattr(error, "orig", None) or error)
        away = re.search("refused|timeout|timed out|could not translate|starting up", said.lower())
        raise (NoAnswer if away else UserError)(
            f"MLflow's store {without_secret(uri)} cannot be opened: {said}",
            hint="the password goes into --tracking-uri or PCDARTS_TUNE_TRACKING_URI, or where libpq looks "
            "(PGPASSWORD, ~/.pgpass); it is never written down",
        ) from None
    finally:
        engine.dispose()
