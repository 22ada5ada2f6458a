"""Where trials keep what they need: a folder, a file system that pyarrow reaches, and a real S3 server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.s3 import s3_server

from pcdarts_tune.cli import group as cli
from pcdarts_tune.errors import UserError
from pcdarts_tune.places import Place, below, check_address, place_at, require_storage
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.tasks import Proposal, TrialTask


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["folder", "file URL", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return place_at(tmp_path / "trials" / "0")
    if request.param == "file URL":
        return place_at(check_address(f"file://{tmp_path}/a%20b"))
    return place_at(below(request.getfixturevalue("s3"), request.node.name))


def test_a_place_keeps_what_was_written_whole(place: Place) -> None:
    assert place.read("checkpoint") is None
    place.delete("checkpoint")
    place.tidy()
    place.write("checkpoint", [b"one"])
    assert place.read("checkpoint") == b"one"
    large = bytes(range(256)) * 45_000  # more than an object store takes at once
    place.write("checkpoint", [large[:7], memoryview(large)[7:]])
    assert place.read("checkpoint") == large
    assert place.read("check") is None

    def cut_off() -> Iterator[bytes]:
        yield b"half of it"
        raise OSError("the line is down")

    with pytest.raises(OSError, match="the line is down"):
        place.write("checkpoint", cut_off())
    assert place.read("checkpoint") == large
    place.write("other", [])
    assert place.read("other") == b""
    place.delete("checkpoint")
    assert place.read("checkpoint") is None
    assert place.read("other") == b""


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_address("there") == str(tmp_path / "there")
    assert check_address("file:///a/b") == check_address("file://localhost/a/b") == "/a/b"
    query = "?endpoint_override=localhost:9000&scheme=http"
    assert check_address(f"s3://bucket/a{query}") == f"s3://bucket/a{query}"
    assert below(f"s3://bucket/a{query}", "first", "trials", "3") == f"s3://bucket/a/first/trials/3{query}"
    assert below("s3://bucket", "first") == "s3://bucket/first"
    assert below("/a/", "b") == "/a/b"
    assert below("/what?/", "b") == "/what?/b"
    assert check_address("S3://bucket/a") == "s3://bucket/a"
    assert check_address("abfs://container@account.dfs.core.windows.net/a")
    assert check_address("gs://anonymous@bucket/a")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("abf://name/a", "did you mean 'abfs'"),
        ("https://host/a", "no kind of storage"),
        ("", "an empty path"),
        ("a\0b", "cannot be a path"),
        ("s3://[bucket/a", "holds credentials"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://AKIAKEY:hunter2@bucket/a", "holds credentials"),
        ("s3://AKIAKEY:hunt/er2@bucket/a", "holds credentials"),
        ("s3://hunter2@bucket/a", "holds credentials"),
        ("s3://bucket/a?access_key=AKIA&secret_key=hunter2", "holds credentials"),
        ("s3://bucket/a?session_token=hunter2", "holds credentials"),
        ("abfs://container:hunter2@account.dfs.core.windows.net/a", "holds credentials"),
        ("abfs://account.dfs.core.windows.net/a?sig=hunter2", "holds credentials"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secret(
    address: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=said):
        check_address(address)
    home = tmp_path / "home"
    arguments = ["sweep", "--space", "quickstart", "--storage", address, "--home", str(home)]
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "hunter2" not in out + err
    assert not home.exists()


def test_storage_that_cannot_be_used_is_refused_before_anything_starts(
    s3: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_storage(str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    require_storage(s3)
    (tmp_path / "file").touch()
    cases = {
        str(tmp_path / "file"): "Not a directory|File exists",
        s3.replace("s3://bucket", "s3://other"): "NO_SUCH_BUCKET|does not exist",
        "s3://bucket/a?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1": "connect",
        "s3://bucket/a?colour=red": "colour",
    }
    for address, said in cases.items():
        with pytest.raises(UserError, match=f"cannot be used.*({said})"):
            require_storage(address)
    home = tmp_path / "home"
    arguments = ["sweep", "--space", "quickstart", "--storage", str(tmp_path / "file"), "--home", str(home)]
    assert cli.run(arguments) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert not home.exists()


def test_a_storage_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import threading

    from pcdarts_tune import places as storage

    never = threading.Event()
    monkeypatch.setattr(storage, "place_at", lambda address: never.wait())
    with pytest.raises(UserError, match="no answer in 0 s"):
        require_storage("gs://bucket", seconds=0.1)
    never.set()


TRIAL = """
import json, os, sys, tempfile
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.places import Store
from pcdarts_tune.tasks import TrialTask
from pcdarts_tune.sweeps.trials.trial import run_trial

task = TrialTask.from_json(sys.argv[1])
die_after = int(sys.argv[2])
images = load_dataset(read_space("quickstart").data)
written, reported = [], []

def watch(event, given):
    if event == "open" and isinstance(given[0], str) and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR):
        written.append(given[0])

def report(record):
    reported.append(record)
    if len(reported) == die_after:
        os._exit(9)

tempfile.gettempdir()  # Python tries the folder with a file, once a process; torch asks for it
sys.addaudithook(watch)
outcome = run_trial(task, images, report)
print(json.dumps({"outcome": outcome.to_dict(), "reported": reported, "written": written}))
"""


def test_a_trial_needs_nothing_but_its_storage_and_goes_on_from_there(s3: str, tmp_path: Path) -> None:
    settings = (
        "supernet.channels=4",
        "search.epochs=2",
        "search.arch_warmup_epochs=1",
        "evaluation.epochs=1",
    )
    space = read_space("quickstart", (*settings, "evaluation.channels=4", "search.batch_size=256"))
    task = TrialTask(
        Proposal(0, 11, {"supernet.k": 4}),
        evaluation_seed=5,
        space=space.model_dump_json(),
        folder=below(s3, "lost", "trials", "0"),
        evaluations=below(s3, "lost", "evaluations"),
    )

    def run(die_after: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", TRIAL, task.to_json(), str(die_after)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert run(die_after=2).returncode == 9
    assert place_at(task.folder).read("checkpoint") is not None
    result = json.loads(run(die_after=0).stdout.splitlines()[-1])
    first, *others = result["reported"]
    assert first["kind"] == "history"
    kinds = [(record["kind"], record.get("stage")) for record in first["records"] + others]
    assert kinds == [("epoch", "search")] * 2 + [("derived", None), ("epoch", "evaluation")]
    assert [name for name in result["written"] if name != "/dev/null"] == []
    kept = read_result(task.folder)
    assert kept is not None
    assert kept["outcome"] == result["outcome"]
    assert place_at(task.folder).read("checkpoint") is None
