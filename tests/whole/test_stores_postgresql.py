"""PostgreSQL for Optuna's study and for MLflow, real ones on loopback: what is kept there, who may write, what is not told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.compare import differences
from support.lookup import DATA, lookup_made
from support.servers import PostgreSQL, missing_postgresql, mlflow_server, postgresql

from pcdarts_tune import addresses
from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tasks import Outcome
from pcdarts_tune.tracking.reach import NoAnswer, require_answer

SECRET = "kolibri-47"


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    if (reason := missing_postgresql()) is not None:
        pytest.skip(reason)
    with postgresql(SECRET) as running:
        yield running


def complete(objective: float) -> Outcome:
    return Outcome("complete", objective=objective, genotype={}, genotype_hash="00", params=1, macs=2)


def test_a_study_survives_a_restart_of_the_server(
    database: PostgreSQL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = database.create("restart")
    sweep = lookup_made(tmp_path, 8, study_uri=url, sampler="random")
    first = [sweep.study.ask(8) for _ in range(2)]
    sweep.study.tell(0, complete(0.5))
    with sweep.lock():
        assert sweep.running
        database.stop(signal.SIGQUIT)  # every connection is cut, as in a crash
        threading.Timer(1.0, database.start).start()
        third = sweep.study.ask(8)
        assert "does not answer; waiting" in caplog.text
        assert SECRET not in caplog.text
        assert sweep.study.tell(1, complete(0.75))
        assert not sweep.study.tell(1, complete(0.25)), "the first word counts"
        assert sweep.running, "the lock was taken again"
    assert not sweep.running
    again = open_sweep(Where(tmp_path, study_uri=url), "lookup")
    assert [record.state for record in again.study.records()] == ["complete", "complete", "waiting"]
    assert [entry.number for entry in (*first, third)] == [0, 1, 2]
    # proposals do not depend on the store
    local = lookup_made(tmp_path / "local", 8, sampler="random")
    assert [local.study.ask(8) for _ in range(3)] == [*first, third]


def test_a_driver_on_another_machine_is_refused(database: PostgreSQL, tmp_path: Path) -> None:
    url = database.create("locks")
    here, there = tmp_path / "here", tmp_path / "there"
    ours = lookup_made(here, 2, study_uri=url)
    other_sweep = lookup_made(here, 2, name="other", study_uri=url)
    shutil.copytree(here, there)  # another machine's view of the same sweep: its files' locks are its own
    theirs = open_sweep(Where(there, study_uri=url), "lookup")
    with ours.lock():
        assert theirs.running
        with pytest.raises(UserError, match=f"already being run, by pcdarts-tune, process {os.getpid()} on"):
            theirs.lock().__enter__()
        with other_sweep.lock():
            pass
    with theirs.lock():
        pass
    # a driver that was cut off comes back, unless another was faster
    with ours.lock():
        _cut_connections(database, "locks")
        ours.study.ask(2)
        assert theirs.running
        _cut_connections(database, "locks")
        with (
            theirs.lock(),
            pytest.raises(WorkFailed, match="connection to the study was lost, and meanwhile"),
        ):
            ours.study.ask(2)


def _cut_connections(database: PostgreSQL, name: str) -> None:
    import psycopg

    with psycopg.connect(database.url("postgres"), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
        )


def test_what_cannot_be_is_refused_with_what_to_try(
    database: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.create("refused")
    space = Space(name="table")

    def made(**settings: Any) -> None:
        create_sweep(tmp_path, "s", space, SweepSettings(**settings), trials=2, data=DATA)

    with pytest.raises(UserError, match="both name postgresql://postgres@"):
        made(study_uri=url, tracking_uri=url)
    with pytest.raises(UserError, match="is no address of a PostgreSQL database"):
        made(study_uri=f"mysql://me:{SECRET}@host/db")
    wrong = url.replace(SECRET, "another-secret")
    for refusal in (lambda: made(study_uri=wrong), lambda: require_answer(wrong)):
        with pytest.raises(UserError, match="password authentication failed") as refused:
            refusal()
        assert "another-secret" not in f"{refused.value} {refused.value.hint}"
        assert "PGPASSWORD" in str(refused.value.hint)
        assert not isinstance(refused.value, NoAnswer)
    with pytest.raises(NoAnswer, match="cannot be opened"):
        require_answer("postgresql://me@127.0.0.1:1/db")
    monkeypatch.setattr(addresses, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package psycopg") as refused:
        made(study_uri=url)
    assert "uv sync --extra postgres" in str(refused.value.hint)
    assert not (tmp_path / "sweeps" / "s" / "sweep.json").exists()


SMALL = [
    *("--set", "search.epochs=1", "--set", "search.arch_warmup_epochs=0", "--set", "supernet.channels=4"),
    *("--set", "evaluation.epochs=1", "--set", "evaluation.channels=4", "--set", "search.batch_size=64"),
]


def test_a_sweep_with_both_in_postgresql_tells_no_password(
    database: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study, records = database.create("optuna"), database.create("mlflow")
    home, ray = (
        tmp_path / "home",
        Path(f"/tmp/pcdarts-{os.getpid()}"),
    )  # the path of Ray's sockets must be short
    where = ("--home", str(home))
    with mlflow_server(records, tmp_path / "server") as server:
        tracking = server.url.replace("http://", f"http://me:{SECRET}@")
        arguments = ["sweep", "--space", "quickstart", "--name", "s", "--trials", "1", *SMALL, "-v", *where]
        try:
            ran = subprocess.run(
                [
                    *(sys.executable, "-m", "pcdarts_tune", *arguments),
                    *("--study-uri", study, "--tracking-uri", tracking),
                ],
                capture_output=True,
                text=True,
                env={**{k: v for k, v in os.environ.items() if "RAY" not in k}, "RAY_TMPDIR": str(ray)},
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            _tells_nothing(home, ray, ran.stdout + ran.stderr)
        finally:
            shutil.rmtree(ray, ignore_errors=True)
        sweep = open_sweep(Where(home, server.url, study), "s")
        assert [record.state for record in sweep.records()] == ["complete"]
        assert differences(sweep) == []
        assert not (home / "sweeps" / "s" / "study.db").exists()
        assert not (home / "mlflow.db").exists()

        # the password is not kept: it is given again, or libpq finds it
        assert command_line(["leaderboard", "s", *where]) == 2
        said = capfd.readouterr().err
        assert "PGPASSWORD" in said
        file = tmp_path / "pgpass"
        file.write_text(f"127.0.0.1:*:*:postgres:{SECRET}\n")
        file.chmod(0o600)
        known = {"PGPASSWORD": SECRET, "PGPASSFILE": str(file), "PCDARTS_TUNE_STUDY_URI": study}
        for name, value in known.items():
            with monkeypatch.context() as environment:
                environment.setenv(name, value)
                assert command_line(["leaderboard", "s", "--json", *where]) == 0, name
                out, err = capfd.readouterr()
                assert [entry["state"] for entry in json.loads(out)] == ["complete"]
                said += err
        monkeypatch.setenv("PGPASSWORD", SECRET)
        assert command_line(["resume", "s", *where]) == 2
        err = capfd.readouterr().err
        assert "under a password, which is not kept" in err
        assert SECRET not in said + err


def _tells_nothing(home: Path, ray: Path, said: str) -> None:
    assert SECRET not in said
    files = [file for folder in (home, ray) for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 20, "Ray's session is among them"
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file
