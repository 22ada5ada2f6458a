"""The stores: MLflow's and the sweeps' studies, whether they answer and are of a form that the installed versions read.

list(check_stores(Where(home)))
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pcdarts_tune.addresses import masked, without_secret
from pcdarts_tune.doctor.check import Check, fail, ok, warn
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_names

MOST_SWEEPS = 20
"""Opened, the newest ones; opening a study takes tens of milliseconds."""


def check_stores(where: Where) -> Iterator[Check]:
    """MLflow's store, then the studies."""
    yield from check_mlflow(where)
    yield from check_studies(where)


def check_mlflow(where: Where) -> Iterator[Check]:
    """Whether the store opens and answers; one that does not exist yet is not made."""
    from pcdarts_tune.tracking.store import MlflowStore, require_answer

    if where.tracking_uri is None and not (where.home / "mlflow.db").is_file():
        yield ok("mlflow store", f"none yet; a sweep makes {where.home / 'mlflow.db'}")
        return
    try:
        uri = where.mlflow_uri
        require_answer(uri)
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
            yield ok("mlflow store", f"none yet; a sweep makes {without_secret(uri)}")
            return
        store = MlflowStore(uri)
        experiments = store.client.search_experiments(max_results=1000)
    except UserError as error:
        yield fail("mlflow store", str(error), error.hint or "")
        return
    except Exception as error:  # databases and servers raise many kinds
        said = masked(" ".join(str(error).split())[:300])
        shown = without_secret(uri)
        todo = "the address, user name and password; or another --tracking-uri"
        if "upgrade" in said or "schema" in said:
            todo = f"a copy of it first, then: mlflow db upgrade '{shown}'"
        elif uri.startswith("sqlite"):
            todo = f"restore {shown.removeprefix('sqlite:///')} from a copy, or take another --home"
        yield fail("mlflow store", f"{shown} cannot be read: {said}", todo)
        return
    server = _server_version(uri)
    names = f"{len(experiments)} experiments" if len(experiments) != 1 else "1 experiment"
    said = f"{without_secret(uri)} answers, {names}" + (f", server {server}" if server else "")
    if server and server.split(".")[0] != _installed().split(".")[0]:
        yield warn(
            "mlflow store", f"{said}; the client is {_installed()}", "the same major version on both sides"
        )
    else:
        yield ok("mlflow store", said)


def check_studies(where: Where) -> Iterator[Check]:
    """Whether the studies of the newest sweeps open; a database that sweeps share, whether it can be reached."""
    from pcdarts_tune.sweeps.sweep import open_sweep

    if where.study_uri is not None:
        yield from _database(where.study_uri)
    home, names = where.home, sweep_names(where.home)
    broken = 0
    for name in names[-MOST_SWEEPS:]:
        try:
            sweep = open_sweep(Where(home), name)
            if where.study_uri is not None and sweep.settings.study_uri is not None:
                sweep = open_sweep(where, name)
            len(sweep.study)
        except UserError as error:
            broken += 1
            yield fail(f"sweep {name}", str(error), error.hint or "")
        except Exception as error:  # a damaged file
            broken += 1
            said = masked(" ".join(str(error).split())[:300])
            yield fail(f"sweep {name}", f"its study cannot be read: {said}", "restore study.db from a copy")
    looked = min(len(names), MOST_SWEEPS)
    if names and not broken:
        yield ok(
            "sweeps",
            f"{len(names)} in {home}" + (f"; the newest {looked} open" if looked < len(names) else ""),
        )
    elif not names:
        yield ok("sweeps", f"none in {home} yet")


def _database(uri: str) -> Iterator[Check]:
    from pcdarts_tune.addresses import check_study_uri, engine_url

    shown = without_secret(uri)
    try:
        address = engine_url(check_study_uri(uri))
    except UserError as error:
        yield fail("study store", str(error), error.hint or "")
        return
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            version = connection.execute(sqlalchemy.text("show server_version")).scalar()
    except Exception as error:  # whatever the driver raises
        said = masked(" ".join(str(error).split())[:300])
        yield fail(
            "study store",
            f"{shown} cannot be reached: {said}",
            "the address, its password in PGPASSWORD, and the server",
        )
        return
    yield ok("study store", f"{shown} answers, PostgreSQL {version}")


def _server_version(uri: str) -> str | None:
    """What an MLflow server says of itself; None of other stores, or where it says nothing."""
    import urllib.request

    if not uri.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/version", timeout=5) as answer:
            text = str(answer.read(100).decode("ascii", "replace")).strip()
    except (OSError, ValueError):
        return None
    return text if text[:1].isdigit() else None


def _installed() -> str:
    from importlib.metadata import version

    return version("mlflow")
