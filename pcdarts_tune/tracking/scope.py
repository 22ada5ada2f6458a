"""MLflow's module-level state, changed for a block and put back: which store it points at, and how much it says."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # else a model that is logged takes uv.lock and pyproject.toml of whatever folder is current
    "MLFLOW_UV_AUTO_DETECT": "false",
}
_AT_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30", **_QUIET}
_lock, _inside = threading.Lock(), 0
_before: dict[str, str | None] = {}


@contextmanager
def pointed_at(tracking_uri: str) -> Iterator[None]:
    """Point MLflow's module-level functions at a store, and leave no trace of it in this process."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    environment = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        set_environment(environment)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's notes on pip, schemas and downloads from the person who promotes, and its addresses from stdout."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    before = set_environment(_QUIET)
    try:
        yield
    finally:
        set_environment(before)
        logger.setLevel(level)


@contextmanager
def answering_at_once() -> Iterator[None]:
    """MLflow's client raises at the first request that fails, within half a minute: by itself it tries for minutes, and
    sends anew what may have arrived. For whoever looks and tries again (outbox.py); several threads may at once."""
    global _inside, _before
    with _lock:
        if not _inside:
            _before = set_environment(_AT_ONCE)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                set_environment(_before)


def set_environment(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set variables, or remove those of None; their values before."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
