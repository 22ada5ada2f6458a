"""Making a sweep: its folder, its study, and sweep.json, which is written last and makes it one.

sweep = create_sweep(home, "first", space, SweepSettings(), trials=32, data=about_images(images))
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pcdarts_tune import plugins
from pcdarts_tune.addresses import (
    check_study_uri,
    check_uri,
    has_secret,
    is_postgresql,
    same_database,
    sqlite_file,
    without_secret,
)
from pcdarts_tune.errors import UserError, one_line
from pcdarts_tune.files import write_json
from pcdarts_tune.home import SweepFolder, Where, plugin_store, sweep_lock
from pcdarts_tune.places import below, place_at
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import SAMPLERS
from pcdarts_tune.sweeps.benchmark import Benchmark
from pcdarts_tune.sweeps.record import FORMAT, SweepSettings
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.sweeps.sweep import SweepHandle, study_name, study_settings
from pcdarts_tune.sweeps.warm_start import Learned
from pcdarts_tune.tracking.provenance import git_revision, versions


def create_sweep(
    home: Path,
    name: str,
    space: Space,
    settings: SweepSettings,
    *,
    trials: int,
    data: dict[str, str],
    benchmark: tuple[Benchmark, str] | None = None,
    learned: Learned | None = None,
    queued: Sequence[Mapping[str, Any]] = (),
) -> SweepHandle:
    """A new sweep, not yet run.

    Args:
        settings: their `storage` is the place in which the sweep gets one of its own.
        data: `name`, `digest`, `source`, `profile` of the data set, for the record.
        benchmark: where it is the objective: the table, which the sweep keeps, and its column.
        learned: trials of another sweep that its sampler knows.
        queued: settings of its first trials, as `queued.read_queue` gives them.

    Raises:
        UserError: when the name is taken or the folder cannot be written to.
    """
    folder = SweepFolder.of(home, name)
    check_free(home, name)
    if settings.sampler not in SAMPLERS:
        _try_sampler(space, settings)
    uri, study_uri = settings.tracking_uri, settings.study_uri
    settings = replace(
        settings, tracking_uri=_kept_uri(uri, home), study_uri=study_uri and without_secret(study_uri)
    )
    if study_uri is not None:
        study_uri = check_study_uri(study_uri)
        if uri is not None and same_database(uri, study_uri):
            raise UserError(
                f"--study-uri and --tracking-uri both name {without_secret(study_uri)}: Optuna and MLflow keep the "
                "versions of their tables under one name",
                hint="a database of its own for each, such as `createdb optuna` and `createdb mlflow`",
            )
    with _explain_unwritable(folder):
        folder.path.mkdir(parents=True, exist_ok=True)
    with sweep_lock(folder):
        check_free(home, name)  # again: another driver may have made one of that name
        with _explain_unwritable(folder):
            for leftover in folder.path.glob("study.db*"):  # of a sweep that was never fully made
                leftover.unlink()
        identity = uuid.uuid4().hex
        if settings.storage is not None:
            # its own: sweeps of several homes may have one name
            settings = replace(settings, storage=below(settings.storage, f"{name}-{identity[:8]}"))
        if benchmark is not None:
            table, column = benchmark
            kept = SweepFolder(folder.path, settings.storage).evaluations_address
            with _explain_unwritable(folder):
                table.keep(column, place_at(kept))
        study = SweepStudy.create(
            study_uri or folder.study_url,
            name=study_name(settings, name, identity),
            foreign=() if learned is None else learned.trials,
            queued=queued,
            **study_settings(space, settings),
        )
        study.note("target", trials)
        if learned is not None:
            study.note(
                "warm_start",
                {"sweep": learned.source, "trials": len(learned.trials), "left_out": learned.left_out},
            )
        about = {
            "format": FORMAT,
            "name": name,
            "id": identity,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "settings": asdict(settings)
            | {name: _from_home(getattr(settings, name), home) for name in ("storage", "data_root")},
            "space": space.model_dump(mode="json"),
            "data": data,
            "versions": versions(),
            "git": git_revision(),
        }
        if needed := plugins.records_of(about["space"], settings.sampler):
            about["plugins"] = needed
            plugins.keep(plugin_store(home), needed)
        # last of all: a folder without it is no sweep, and its name is free
        write_json(folder.record_file, about)
    return SweepHandle(Where(home, uri, study_uri), folder)


def _try_sampler(space: Space, settings: SweepSettings) -> None:
    """Let a sampler of others propose twice in a study that is thrown away. Raises UserError: it fails with these ranges."""
    study = SweepStudy.unsaved(**study_settings(space, settings))
    try:
        for _ in range(2):
            study.ask(3)
    except UserError:
        raise
    except Exception as error:  # another's code
        raise UserError(
            f"sampler {settings.sampler!r} cannot draw from this space: {type(error).__name__}: {one_line(error)}",
            hint="--sampler tpe, or another space",
        ) from error


@contextmanager
def _explain_unwritable(folder: SweepFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder.path} cannot be made: {error.strerror}", hint="--home DIR, or PCDARTS_TUNE_HOME"
        ) from None


def _from_home(path: str | None, home: Path) -> str | None:
    """A path as sweep.json keeps it: seen from the home where it lies in it, so that a home that is moved takes it along."""
    if path is None or "://" in path or not Path(path).is_relative_to(home.absolute()):
        return path
    return str(Path(path).relative_to(home.absolute()))


def _kept_uri(uri: str | None, home: Path) -> str | None:
    """A tracking URI as sweep.json keeps it: absolute, without a password; None for the home's own store. PostgreSQL's client
    looks for the password elsewhere too; MLflow's does not, so a mark says that one is needed."""
    if uri is None:
        return None
    checked = check_uri(uri)
    if sqlite_file(checked) == home.absolute() / "mlflow.db":
        return None
    if is_postgresql(uri):
        return without_secret(uri)
    return f"secret:{without_secret(checked)}" if has_secret(checked) else checked


def check_free(home: Path, name: str) -> None:
    """Raises UserError when a sweep of that name exists, offering what to do with it."""
    if SweepFolder.of(home, name).record_file.exists():
        flag = Where(home).home_flag
        raise UserError(
            f"a sweep named {name!r} exists in {home}",
            hint=f"pcdarts-tune resume {name}{flag} to go on with it, pcdarts-tune extend {name} --trials +16{flag} "
            "to give it more trials, or another --name",
        )
