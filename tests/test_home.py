"""The home folder: names, files written whole, the lock."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json, write_whole
from pcdarts_tune.home import (
    SweepFolder,
    Where,
    default_tracking_uri,
    find_sweep,
    free_name,
    is_running,
    sweep_lock,
)
from pcdarts_tune.machine import network_file_system


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
    with sweep_lock(SweepFolder(path)):
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
    with pytest.raises(UserError, match=f"process {holder.pid} on"), sweep_lock(folder):
        pass
    holder.kill()
    holder.join()
    assert not is_running(folder)
    with sweep_lock(folder):
        assert is_running(folder)


def test_who_looks_is_in_nobody_s_way(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    assert not is_running(folder)
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing"
    with sweep_lock(folder):
        pass
    lock = tmp_path / "lock"
    looking = lock.open("rb")
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert not is_running(folder), "two may look at a time"
    threading.Timer(0.3, looking.close).start()
    with sweep_lock(folder):
        assert is_running(folder)
    assert not is_running(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_lock_that_may_not_be_read_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(mode=0)
    assert not is_running(SweepFolder(tmp_path))


def test_writers_at_the_same_time_are_not_in_each_other_s_way(tmp_path: Path) -> None:
    file = tmp_path / "file.json"

    def write(number: int) -> None:
        for _ in range(20):
            write_json(file, [number] * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(set(read_json(file))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_the_store_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_tracking_uri(Path("home")) == f"sqlite:///{tmp_path}/home/mlflow.db"


def test_where_names_the_store_and_the_flag_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PCDARTS_TUNE_HOME", raising=False)
    assert Where(Path("pcdarts-home")).home_flag == ""
    assert Where(Path("other home")).home_flag == f" --home '{tmp_path}/other home'"
    monkeypatch.setenv("PCDARTS_TUNE_HOME", "other home")
    assert Where(Path("other home")).home_flag == ""
    assert Where(Path("home")).mlflow_uri == default_tracking_uri(Path("home"))
    assert Where(Path("home"), "sqlite:///mine.db").mlflow_uri == f"sqlite:///{tmp_path}/mine.db"
    with pytest.raises(UserError):
        _ = Where(Path("home"), "gopher://mine").mlflow_uri


def test_a_home_on_the_network_is_known(tmp_path: Path) -> None:
    mounts = [
        ("/", "ext4"),
        ("/shared data", "nfs4"),
        ("/home/me/far", "fuse.sshfs"),
        ("/home/me/far/near", "tmpfs"),
        ("/models", "ext4"),
        ("/models", "fuse.s3fs"),
        ("/bricks", "fuse.glusterfs"),
        ("/cell", "afs"),
    ]
    kinds = {
        "/shared data/home": "nfs4",
        "/home/me/far/a/b": "fuse.sshfs",
        "/home/me/far/near/a": None,
        "/home/me/farther": None,
        "/shared": None,
        "/models/x": "fuse.s3fs",
        "/bricks/x": "fuse.glusterfs",
        "/cell/x": "afs",
    }
    assert {path: network_file_system(Path(path), mounts) for path in kinds} == kinds
    assert network_file_system(tmp_path) is None
    assert network_file_system(tmp_path, []) is None


def test_the_lock_is_held_on_a_full_disk_too(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # every write fails, as on a full disk
    try:
        with sweep_lock(folder):
            assert is_running(folder)
            assert (tmp_path / "lock").read_text() == ""
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
