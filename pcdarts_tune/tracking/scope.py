"""MLflow's module-level state, changed for a block and put back: which store it points at, and how much it says."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


@contextmanager
def pointed_at(tracking_uri: str) -> Iterator[None]:
    """Point MLflow's module-level functions at a store, and leave no trace of it in this process."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with _environment("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])


@contextmanager
def quiet() -> Iterator[None]:
    """MLflow's notes on pip, schemas and downloads are not for the person who promotes, nor its addresses on stdout."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with _environment(*_QUIET):
        os.environ.update(_QUIET)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def answering_at_once() -> Iterator[None]:
    """MLflow's client raises at the first request that fails, within half a minute: by itself it tries for minutes, and
    sends anew what may have arrived. For whoever looks and tries again (outbox.py); several threads may at once."""
    global _inside, _before
    with _lock:
        if not _inside:
            _before = {name: os.environ.get(name) for name in _AT_ONCE}
            os.environ.update(_AT_ONCE)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _put_back(_before)


_AT_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30", **_QUIET}
_lock, _inside = threading.Lock(), 0
_before: dict[str, str | None] = {}


@contextmanager
def _environment(*names: str) -> Iterator[None]:
    """Put these variables back as they were."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        _put_back(before)


def _put_back(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
