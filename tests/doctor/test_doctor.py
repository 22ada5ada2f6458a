"""`doctor`: each check on something that is well and on something that is not."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cluster.session import short_folder
from pcdarts_tune.doctor import machine
from pcdarts_tune.doctor.check import Check
from pcdarts_tune.doctor.examine import check_versions, requirements
from pcdarts_tune.doctor.machine import check_ray
from pcdarts_tune.doctor.stores import check_images, check_mlflow, check_stores, check_studies
from pcdarts_tune.home import Where, default_tracking_uri
from pcdarts_tune.machine import available_memory, core_quota

DEAD = "http://127.0.0.1:1"


def only(checks: Iterable[Check]) -> Check:
    (check,) = checks
    return check


def test_doctor_looks_at_everything_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    code = cli.run(["doctor", "--home", str(home), "--space", "quickstart", "--json"])
    answer = json.loads(capsys.readouterr().out)
    by_name = {check["name"]: check for check in answer["checks"]}
    assert {
        "python",
        "torch",
        "ray",
        "mlflow",
        "gpu",
        "cores",
        "home",
        "disk",
        "mlflow store",
        "data",
    } <= set(by_name)
    assert by_name["torch"]["said"] == __import__("torch").__version__.partition("+")[0]
    assert by_name["mlflow store"]["said"].startswith("none yet")
    assert by_name["space"]["status"] == by_name["data"]["status"] == "ok"
    failed = [check for check in answer["checks"] if check["status"] == "fail"]
    assert (answer["ok"], code) == ((False, 1) if failed else (True, 0))
    assert all(check["do"] for check in answer["checks"] if check["status"] != "ok")
    assert not home.exists()


def test_doctor_ends_with_1_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "doctor",
        "--home",
        str(tmp_path),
        "--data",
        str(tmp_path / "nowhere"),
        "--tracking-uri",
        DEAD,
    ]
    assert cli.run(arguments) == 1
    said = capsys.readouterr().out
    assert f"FAIL  mlflow store: no MLflow server answers at {DEAD}" in said
    assert "-> start it, or give another with --tracking-uri URI" in said
    assert "nowhere does not exist" in said
    assert " failed" in said.splitlines()[-1]


def test_versions_are_those_that_are_required() -> None:
    assert [check.finding for check in check_versions() if check.status != "ok"] == []
    wanted, pythons = requirements()
    assert {"torch", "ray", "optuna", "mlflow", "click"} <= {each.name for each in wanted}
    assert pythons.contains(sys.version.split()[0])


def test_a_version_that_is_too_old_or_missing_is_said(tmp_path: Path) -> None:
    old = tmp_path / "optuna-1.0.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 1.0\n")
    code = (
        "from pcdarts_tune.doctor.examine import check_versions\n"
        "for check in check_versions():\n    print(check.status, check.name, check.finding, check.advice)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fail optuna 1.0, but pcdarts-tune needs " in done.stdout, done.stderr
    assert "pip install 'optuna" in done.stdout


def cgroup(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def test_a_containers_limit_on_cores_is_seen(tmp_path: Path) -> None:
    limited = machine.check_cores(cgroup(tmp_path, cpu_max="50000 100000\n"))
    assert limited.status == "warn"
    assert "may use 0.5" in limited.finding
    assert core_quota(cgroup(tmp_path, cpu_max="max 100000\n")) is None
    assert machine.check_cores(tmp_path).status == "ok"
    assert core_quota(tmp_path / "none") is None


def test_a_containers_limit_on_memory_is_seen(tmp_path: Path) -> None:
    limited = cgroup(tmp_path, memory_max=f"{3 * 2**30}\n", memory_current=f"{2 * 2**30}\n")
    assert available_memory(limited) == 2**30
    low = machine.check_memory(limited)
    assert (low.status, low.finding) == ("warn", "1.0 GiB free")
    unlimited = cgroup(tmp_path, memory_max="max\n", memory_current="1\n")
    free = available_memory(unlimited)
    assert free > 2**30


def test_where_the_home_lies_is_looked_at(tmp_path: Path) -> None:
    well = list(machine.check_home(tmp_path / "new" / "home"))
    assert [check.name for check in well] == ["home", "disk"]
    assert "(not made yet)" in well[0].finding
    assert not (tmp_path / "new").exists()
    file = tmp_path / "file"
    file.write_text("")
    assert only(machine.check_home(file / "home")).status == "fail"


def test_sizes_of_the_home_are_told(tmp_path: Path) -> None:
    for name, size in {
        "sweeps/first/ray/log": 3000,
        "sweeps/first/study.db": 2000,
        "cache/a": 40_000,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    check = machine.check_sizes(tmp_path)
    assert check.status == "ok"
    assert check.finding == (
        f"45 kB in {tmp_path}: sweeps 5 kB, cache 40 kB; 43 kB of it disposable (pcdarts-tune clean)"
    )


def test_a_home_on_a_network_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "network_file_system", lambda path: "fuse.glusterfs")
    home, _ = machine.check_home(tmp_path)
    assert (home.status, home.finding) == (
        "warn",
        f"{tmp_path} is on fuse.glusterfs, where SQLite's locks do not hold",
    )


def test_a_home_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    assert "cannot be written to" in only(machine.check_home(tmp_path / "home")).finding
    tmp_path.chmod(0o700)


def test_a_temporary_folder_too_long_for_ray_is_found_without_starting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(folder))
    (check,) = [check for check in check_ray(address=None, start=False) if check.name == "temporary files"]
    assert check.status == "warn"
    assert "bytes too long for Ray's sockets: Ray takes /tmp" in check.finding
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert short_folder() is None


def test_what_slows_python_down_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (check,) = [check for check in machine.check_machine(tmp_path) if check.name == "bytecode"]
    assert (check.status, check.advice) == ("warn", "unset PYTHONDONTWRITEBYTECODE")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    assert "bytecode" not in [check.name for check in machine.check_machine(tmp_path)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "home"
    make_sweep(folder, "first", FOUND[1:])
    return folder


def test_stores_that_are_well(home: Path) -> None:
    checks = {check.name: check for check in check_stores(Where(home))}
    assert {check.status for check in checks.values()} == {"ok"}
    assert "answers" in checks["mlflow store"].finding
    assert checks["sweeps"].finding == f"1 in {home}"


def test_an_mlflow_store_that_an_older_version_made_is_to_be_upgraded(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path)
    mlflow.MlflowClient(uri, uri).search_experiments()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")  # its first form
        database.commit()
    code = (
        "from pathlib import Path\nfrom pcdarts_tune.doctor.stores import check_mlflow\nfrom pcdarts_tune.home import Where\n"
        f"check = check_mlflow(Where(Path({str(tmp_path)!r})))\nprint(check.status, check.advice)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("fail a copy of it first, then: mlflow db upgrade 'sqlite:////"), done


def test_a_damaged_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, whatever its name says" * 100)
    check = check_mlflow(Where(tmp_path))
    assert (check.status, check.name) == ("fail", "mlflow store")
    assert "cannot be read" in check.finding
    assert check.advice.startswith("keep it as it is")
    assert "Traceback" not in check.finding


def test_a_damaged_study_is_said(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "home", "broken", FOUND[2:])
    (sweep.folder.path / "study.db").write_bytes(b"nothing" * 1000)
    check = only(check_studies(Where(tmp_path / "home")))
    assert (check.status, check.name) == ("fail", "sweep broken")
    assert check.advice


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:1", "nothing answers"), ("nonsense", "is not HOST:PORT")],
)
def test_a_ray_that_does_not_answer_is_said(address: str, said: str) -> None:
    (check,) = [check for check in check_ray(address=address, start=False) if check.name == "ray"]
    assert check.status == "fail"
    assert said in check.finding


def test_ray_is_not_started_unasked() -> None:
    (check,) = [check for check in check_ray(address=None, start=False) if check.name == "ray"]
    assert (check.status, check.finding) == ("ok", "not started; doctor --ray tries it")


def test_images_are_tried_one_of_each_class(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    well = list(check_images("quickstart", tmp_path))[-1]
    assert well.status == "ok"
    assert "12 training images, 2 classes; one of each class was read" in well.finding
    for number in range(6):
        (tmp_path / "dog" / f"{number}.png").write_bytes(b"no image")
    bad = list(check_images("quickstart", tmp_path))[-1]
    assert bad.status == "warn"
    assert "dog" in bad.finding


@pytest.mark.parametrize(
    ("space", "said"),
    [("quickstrat", "did you mean 'quickstart'?"), ("missing.yaml", "no such file")],
)
def test_a_space_that_is_wrong_is_said(space: str, said: str) -> None:
    check = only(check_images(space, None))
    assert check.status == "fail"
    assert said in check.finding
