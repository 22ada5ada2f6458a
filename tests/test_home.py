"""The home folder: names, files written whole, the lock."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import (
    SweepFolder,
    SweepLock,
    default_tracking_uri,
    find_sweep,
    free_name,
    is_running,
    read_json,
    write_json,
    write_whole,
)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../x", "a b", "x" * 101, "é"])
def test_names_that_cannot_be_folders_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a sweep"):
        SweepFolder.of(tmp_path, name)


def test_a_sweep_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it has none"):
        find_sweep(tmp_path, "first")
    write_json(SweepFolder.of(tmp_path, "first").record_file, {})
    with pytest.raises(UserError, match="did you mean 'first'"):
        find_sweep(tmp_path, "frist")
    assert find_sweep(tmp_path, "first").name == "first"
    assert free_name(tmp_path, "toy") == "toy-1"
    (tmp_path / "sweeps" / "toy-1").mkdir()
    assert free_name(tmp_path, "toy") == "toy-2"


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.json"
    write_json(file, {"a": 1})
    assert read_json(file) == {"a": 1}
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "half \ud800")
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in file.parent.iterdir()] == ["file.json"]
    file.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_json(file)


def hold(path: Path, ready: object, done: object) -> None:
    with SweepLock(SweepFolder(path)):
        ready.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


def test_one_process_holds_the_lock_and_its_end_frees_it(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    assert not is_running(folder)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(60)
    assert is_running(folder)
    with pytest.raises(UserError, match=f"process {holder.pid} on"), SweepLock(folder):
        pass
    holder.kill()
    holder.join()
    assert not is_running(folder)
    with SweepLock(folder):
        assert is_running(folder)


def test_the_store_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("home")) == f"sqlite:///{tmp_path}/home/mlflow.db"
