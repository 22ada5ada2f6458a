"""`clean`: what is disposable goes, what is in use or still needed stays."""

from __future__ import annotations

import fcntl
import json
import mmap
import shutil
from pathlib import Path

import pytest
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.cleaning import Cleaning
from pcdarts_tune.machine import files_in_use
from pcdarts_tune.sweeps.sweep import open_sweep


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps, one with a trial that has not ended, and a calibration; each with leftovers."""
    home = tmp_path_factory.mktemp("made")
    for name in ("done", "open"):
        sweep = make_sweep(home, name, FOUND[:2], tracked=False)
        for trial in (0, 1):
            write(sweep.folder.trial(trial) / "result.json", 10)
        write(sweep.folder.trial(1) / "checkpoint", 1000)
        write(sweep.folder.trial(1) / ".checkpoint.0f.tmp", 100)
        write(sweep.folder.ray / "run" / "log", 5000)
    sweep = open_sweep(Where(home), "open")
    sweep.study.note("target", 3)
    sweep.study.start(sweep.study.ask(3).number)
    write(sweep.folder.trial(2) / "checkpoint", 777)
    for key, files in {"a": ("checkpoint", "result.json"), "b": ("checkpoint",)}.items():
        for file in files:
            write(home / "calibrations" / "mine" / "trials" / key / file, 30)
    write(home / "cache" / "1.safetensors", 20_000)
    write(home / "cache" / "2.images", 40_000)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def write(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)


def files(home: Path, *parts: str) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.joinpath(*parts).rglob("*") if path.is_file()}


def test_what_is_disposable_goes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(home)
    assert command_line(["clean", "--yes", "--json", "--home", str(home)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {item["what"].split()[0]: (item["count"], item["bytes"]) for item in said["removes"]} == {
        "files": (2, 60_000),
        "folders": (2, 10_000),
        "checkpoints": (5, 2 * 1100 + 30),
    }
    assert said["bytes"] == 72_230
    gone = {"cache/1.safetensors", "cache/2.images", "calibrations/mine/trials/a/checkpoint"}
    for name in ("done", "open"):
        gone |= {f"sweeps/{name}/trials/1/{file}" for file in ("checkpoint", ".checkpoint.0f.tmp")}
        gone.add(f"sweeps/{name}/ray/run/log")
    assert before - files(home) == gone
    assert files(home, "sweeps", "open", "trials", "2") == {"sweeps/open/trials/2/checkpoint"}, (
        "it goes on from it"
    )
    assert command_line(["clean", "--yes", "--home", str(home)]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cache", "ray", "checkpoints"])
def test_each_can_be_chosen(home: Path, kind: str) -> None:
    before = files(home)
    assert command_line(["clean", f"--{kind}", "--yes", "--home", str(home)]) == 0
    gone = before - files(home)
    assert gone and all(kind.removesuffix("s") in name for name in gone)


def test_nothing_goes_without_a_yes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(home)
    assert command_line(["clean", "--home", str(home)]) == 2
    out, err = capsys.readouterr()
    assert "60 kB" in out and "--yes" in err
    assert files(home) == before


def test_what_runs_keeps_its_files_and_the_images(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (home / "sweeps" / "open" / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert command_line(["clean", "--yes", "--home", str(home)]) == 0
    assert "sweep open" in capsys.readouterr().out
    assert len(files(home, "cache")) == 2
    assert len(files(home, "sweeps", "open", "ray")) == 1 and "sweeps/open/trials/1/checkpoint" in files(home)
    assert not (home / "sweeps" / "done" / "ray").exists()


def test_images_that_a_process_reads_stay(home: Path) -> None:
    one = home / "cache" / "1.safetensors"
    with one.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert files_in_use(home / "cache") == {one.resolve()}
        cleaning = Cleaning.plan(Where(home), ("cache",))
        assert [target.bytes for target in cleaning.targets] == [40_000]
        assert any("a process reads it" in reason for reason in cleaning.stays)


def test_what_was_resumed_meanwhile_stays(home: Path) -> None:
    cleaning = Cleaning.plan(Where(home), ("ray",))
    with (home / "sweeps" / "done" / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (kept,) = cleaning.run()
    assert "already being run" in kept
    assert (home / "sweeps" / "done" / "ray").exists() and not (home / "sweeps" / "open" / "ray").exists()


def test_a_damaged_sweep_keeps_its_files(home: Path) -> None:
    (home / "sweeps" / "done" / "sweep.json").write_text("{}")
    cleaning = Cleaning.plan(Where(home))
    assert any("sweep done" in reason for reason in cleaning.stays)
    cleaning.run()
    assert (home / "sweeps" / "done" / "ray").exists() and not (home / "sweeps" / "open" / "ray").exists()
