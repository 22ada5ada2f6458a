"""MLflow's SQLite database, made whole or not at all.

MLflow fills a new database in some fifty steps that take seconds; one that was cut off in the middle (a killed driver)
can never be opened again. So it is made under another name and moved when it is done.

    make_database("sqlite:////home/me/pcdarts-home/mlflow.db")
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_database(uri: str) -> None:
    """Make the database at a `sqlite:////…` address, unless it is there; other addresses are left alone."""
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:////") or path.exists() or not path.parent.is_dir():
        return
    from mlflow import MlflowClient

    # a name of its own: MLflow remembers the addresses that a process has used
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    with _alone(path.parent):
        if path.exists():
            return
        for leftover in path.parent.glob(f".{path.name}.*.new*"):
            leftover.unlink(missing_ok=True)
        MlflowClient(f"sqlite:///{made}", f"sqlite:///{made}")
        os.replace(made, path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, as far as the file system has locks; a killed one holds nobody up."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        os.close(handle)
