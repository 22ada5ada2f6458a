"""`list`: what a home holds, from files alone, whatever one of its sweeps has suffered."""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.listing import list_models, list_sweeps
from pcdarts_tune.sweeps.study.glance import glance_at
from pcdarts_tune.sweeps.sweep import counts, open_sweep
from pcdarts_tune.tasks import Outcome
from pcdarts_tune.tracking.store import MlflowStore
from pcdarts_tune.tracking.tags import Tag


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("listed")
    sweep = make_sweep(home, "first", FOUND, tracked=False)
    sweep.study.note("target", 5)
    sweep.study.start(sweep.study.ask(5).number)
    return home


def copy_sweep(home: Path, source: str, name: str) -> None:
    """A sweep under another name: what a list reads, and no more."""
    shutil.copytree(home / "sweeps" / source, home / "sweeps" / name)
    file = home / "sweeps" / name / "sweep.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "name": name, "id": f"{name:>032}".replace(" ", "0")}))


def test_a_glance_says_what_optuna_says(home: Path) -> None:
    sweep, found = open_sweep(Where(home), "first"), glance_at(home / "sweeps" / "first" / "study.db")
    assert dict(found.states) == counts(sweep.study.records()) == {"complete": 2, "failed": 1, "running": 1}
    assert (found.target, found.ended) == (sweep.target, 3)
    best = sweep.best()
    assert found.best == (best.trial, best.objective) == (1, 0.9)


def test_an_entry_has_all_columns(home: Path) -> None:
    (entry,) = list_sweeps(Where(home))
    assert (entry.name, entry.space, entry.data, entry.state) == (
        "first",
        "quickstart",
        "digits",
        "unfinished",
    )
    assert (entry.trials, entry.ended, entry.best, entry.best_trial) == (5, 3, 0.9, 1)
    assert dict(entry.states) == {"complete": 2, "failed": 1, "waiting": 1}, "nobody runs it"
    files = [file for file in (home / "sweeps" / "first").rglob("*") if file.is_file()]
    assert entry.bytes == sum(file.stat().st_size for file in files) > 10_000
    assert entry.created.startswith(time.strftime("%Y-"))


def test_a_sweep_that_runs_is_running(home: Path) -> None:
    with (home / "sweeps" / "first" / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (entry,) = list_sweeps(Where(home))
    assert (entry.state, entry.states["running"]) == ("running", 1)


def test_a_damaged_sweep_hides_no_other(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "sweeps" / "first", tmp_path / "sweeps" / "a")
    for name in ("b", "c", "d", "e"):
        copy_sweep(tmp_path, "a", name)
    (tmp_path / "sweeps" / "b" / "sweep.json").write_text('{"format": 1, "space"')
    (tmp_path / "sweeps" / "c" / "study.db").write_bytes(b"no database at all" * 100)
    (tmp_path / "sweeps" / "d" / "study.db").unlink()
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    assert command_line(["list", "--home", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    found = {each["name"]: each for each in json.loads(out)["sweeps"]}
    assert {name: each["state"] for name, each in found.items()} == {
        "a": "unfinished",
        "b": "damaged",
        "c": "damaged",
        "d": "damaged",
        "e": "unfinished",
    }
    assert "JSON" in found["b"]["reason"] and "cannot be read" in found["c"]["reason"]
    assert "missing" in found["d"]["reason"]
    assert "models cannot be listed" in err
    assert command_line(["list", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 6 and "b: " in err and "Traceback" not in err


def test_a_file_that_is_no_study_is_told(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("CREATE TABLE others (id INTEGER)")
    with pytest.raises(UserError, match="no such table"):
        glance_at(tmp_path / "study.db")


def test_an_empty_home_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["list", "--home", str(tmp_path / "none")]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "pcdarts-tune sweep --space quickstart" in err
    assert not (tmp_path / "none").exists(), "a list makes nothing"
    assert command_line(["list", "--home", str(tmp_path / "none"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"home": str(tmp_path / "none"), "sweeps": [], "models": []}


@pytest.mark.parametrize(("count", "seconds"), [(20, 0.5), (200, 3.0)])
def test_many_sweeps_are_listed_in_seconds(home: Path, tmp_path: Path, count: int, seconds: float) -> None:
    shutil.copytree(home / "sweeps" / "first", tmp_path / "sweeps" / "s000")
    for number in range(1, count):
        copy_sweep(tmp_path, "s000", f"s{number:03}")
    begun = time.process_time()  # others may keep the machine busy
    found = list_sweeps(Where(tmp_path))
    took = time.process_time() - begun
    assert [entry.name for entry in found] == sorted(entry.name for entry in found)
    assert {(entry.ended, entry.best) for entry in found} == {(3, 0.9)} and len(found) == count
    assert took < seconds


def register(home: Path, name: str, tags: dict[str, str], folder: Path) -> Any:
    client = MlflowStore.of(Where(home)).client
    try:
        client.create_registered_model(name)
    except Exception as error:
        assert "already exists" in str(error)
    return client.create_model_version(name, folder.as_uri(), tags=tags)


def test_models_have_versions_and_aliases(home: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x" * 1234)
    for accuracy in ("0.9", "0.95"):
        register(home, "first", {Tag.TEST_ACCURACY: accuracy, Tag.VALIDATION_ACCURACY: "0.8"}, tmp_path)
    register(home, "second", {}, tmp_path / "gone")
    client = MlflowStore.of(Where(home)).client
    client.set_registered_model_alias("first", "champion", "2")
    found = {entry.reference: entry for entry in list_models(Where(home))}
    assert list(found) == ["first/1", "first/2", "second/1"]
    assert (found["first/1"].aliases, found["first/2"].aliases) == ((), ("champion",))
    assert (found["first/2"].test_accuracy, found["first/2"].held_out_accuracy) == (0.95, 0.8)
    assert (found["first/1"].bytes, found["second/1"].bytes) == (1234, None)
    assert (found["second/1"].test_accuracy, found["second/1"].run_id) == (None, "")
    assert list_models(Where(home, f"sqlite:///{home / 'mlflow.db'}")) == list(found.values()), (
        "through MLflow"
    )
    client.delete_model_version("first", "1")
    assert [entry.reference for entry in list_models(Where(home))] == ["first/2", "second/1"]


@pytest.mark.parametrize("outcome", [Outcome("failed", reason="out of memory")])
def test_a_sweep_without_a_score(
    tmp_path: Path, outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sweep(tmp_path, "none", [outcome], tracked=False)
    (entry,) = list_sweeps(Where(tmp_path))
    assert (entry.state, entry.best, entry.best_trial) == ("done", None, None)
    assert command_line(["list", "--home", str(tmp_path)]) == 0
    assert "1/1" in capsys.readouterr().out
