"""Short soaks: real sweeps whose drivers, processes and nodes are killed; nothing may be lost, doubled or different.

The long ones are `benchmarks/stores/soak.py driver|process|node`, which share this code; see docs/sweeps.md.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from support.soaking.audit import audit, differences
from support.soaking.driver import Driver, Phase
from support.soaking.kill_driver import Moment, end_and_resume
from support.soaking.kill_process import kill_workers
from support.soaking.nodes import ENVIRONMENT, Nodes
from support.soaking.sweeps import NAME, finish, run_undisturbed, sweep_command

from pcdarts_tune.cluster.processes import VARIABLE, end_leftover_processes
from pcdarts_tune.home import SweepFolder
from pcdarts_tune.tracking.store import MlflowStore, make_database

TRIALS, SEED = 2, 1
SHORT = ("--set", "supernet.channels=4", "--set", "evaluation.channels=4")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, _ = run_undisturbed(tmp_path_factory.mktemp("undisturbed"), TRIALS, SEED, SHORT)
    assert not any(audit(home, NAME, TRIALS).values())
    return home


def test_a_driver_that_is_killed_or_interrupted_loses_nothing(tmp_path: Path, undisturbed: Path) -> None:
    when = [
        Moment(Phase.CREATING, 1.0),
        Moment(Phase.STARTING, 3.0),
        Moment(Phase.RUNNING, 1.0, "ctrl-c twice"),
        Moment(Phase.RUNNING, 3.0),
        Moment(Phase.RUNNING, 0.0, "term"),
        Moment(Phase.FINISHING, 0.0),
    ]
    done = end_and_resume(tmp_path, TRIALS, SEED, when, SHORT)
    assert len(done) >= 5
    assert {kill["how"] for kill in done} == {"kill", "ctrl-c twice", "term"}
    assert sum(kill["processes_left"] for kill in done) == 0
    assert {name: n for name, n in audit(tmp_path, NAME, TRIALS).items() if n} == {}
    assert differences(tmp_path, undisturbed, NAME) == []


def kill_a_process_and_a_node(home: Path, shared: Path) -> None:
    """A sweep on a cluster of two nodes; in a process of its own, see `Nodes`."""
    draw = random.Random(0)
    with Nodes(hidden=[home, Path("/tmp/ray")]) as nodes:
        nodes.add()
        nodes.add()
        extra = (*SHORT, "--address", nodes.address, "--storage", str(shared), "--max-failures", "9")
        command = sweep_command(home, TRIALS, SEED, extra)
        with Driver(command, SweepFolder.of(home, NAME), TRIALS, ENVIRONMENT) as driver:
            marks = [mark for _, mark in nodes.alive]
            assert len(kill_workers(driver, 1, 4.0, draw, marks)) == 1
            driver.wait_until_said(r"trial \d+: starts again")
            assert driver.phase == Phase.RUNNING
            nodes.kill(0)
            nodes.add()
            finish(driver)


def test_killed_processes_and_nodes_lose_nothing(tmp_path: Path, undisturbed: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        other.submit(kill_a_process_and_a_node, home, shared).result(300)
    assert {name: n for name, n in audit(home, NAME, TRIALS).items() if n} == {}
    assert differences(home, undisturbed, NAME) == []


def test_the_audit_finds_what_is_wrong(tmp_path: Path, undisturbed: Path) -> None:
    """On a copy of a good sweep, spoilt: so that zeros elsewhere mean something."""
    home = tmp_path / "home"
    subprocess.run(["cp", "-r", str(undisturbed), str(home)], check=True)
    with closing(sqlite3.connect(home / "mlflow.db")) as mlflow, mlflow:
        double = "INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics"
        mlflow.execute(f"{double} WHERE key = 'search/loss_train' AND step = 0")
        mlflow.execute("DELETE FROM metrics WHERE key = 'evaluation/loss_train' AND step = 1")
        mlflow.execute("UPDATE metrics SET value = value + 1 WHERE key = 'search/acc_train' AND step = 0")
        mlflow.execute("UPDATE runs SET status = 'RUNNING' WHERE name LIKE 't0%'")
    (SweepFolder.of(home, NAME).trial(0) / ".checkpoint.1f.tmp").touch()
    wrong = {name: n for name, n in audit(home, NAME, TRIALS + 1).items() if n}
    assert wrong["metrics_doubled"] == TRIALS
    assert wrong["metrics_lost"] >= 1
    assert wrong["metrics_wrong"] == TRIALS
    assert wrong["runs_not_ended"] == TRIALS
    assert wrong["trials_lost"] == wrong["trials_not_complete"] == 1
    assert wrong["files_left_over"] == 1
    assert any("search/acc_train at step 0" in text for text in differences(home, undisturbed, NAME))


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


def test_orphans_of_this_sweep_alone_are_ended(sleepers: list[subprocess.Popen[bytes]]) -> None:
    for identity in ("mine", "mine", "other"):
        environment = {**os.environ, VARIABLE: f"{identity}-{os.getpid()}"}
        sleepers.append(subprocess.Popen(["sleep", "600"], env=environment))
    assert end_leftover_processes(f"mine-{os.getpid()}") == 2
    assert [process.wait(10) for process in sleepers[:2]] == [-signal.SIGKILL] * 2
    assert sleepers[2].poll() is None
    assert end_leftover_processes(f"mine-{os.getpid()}") == 0


def test_ray_s_agents_without_a_raylet_are_ended(sleepers: list[subprocess.Popen[bytes]]) -> None:
    for name in ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::Somebody"):
        sleepers.append(subprocess.Popen([name, "600"], executable=shutil.which("sleep")))
    assert end_leftover_processes(f"nobody-{os.getpid()}") == 0
    assert [process.wait(10) for process in sleepers[:2]] == [-signal.SIGKILL] * 2
    assert sleepers[2].poll() is None


def test_a_database_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    code = "import sys; from pcdarts_tune.tracking.store import make_database; make_database(sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", code, uri]) as process:
        # killed while MLflow fills it
        while not any(path.stat().st_size for path in tmp_path.glob(".mlflow.db.*.new")):
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    assert not (tmp_path / "mlflow.db").exists()
    make_database(uri)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert MlflowStore(uri).experiment("first")
