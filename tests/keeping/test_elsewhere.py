"""`delete` and `clean` where a sweep's study is in PostgreSQL and its trials are in an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from support.made_sweeps import SMALL
from support.s3 import s3_server
from support.servers import missing_postgresql, postgresql

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.listing import list_sweeps
from pcdarts_tune.places import place_at
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.study.storage import StudyLock, open_storage
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import Outcome


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[str, str]]:
    """A database for studies and a place for trials."""
    if (reason := missing_postgresql()) is not None:
        pytest.skip(reason)
    with postgresql() as server, s3_server() as storage:
        yield server.create("optuna"), storage


def make(home: Path, name: str, study: str, storage: str) -> SweepHandle:
    space, about = (
        override(load_space("quickstart"), SMALL),
        {"name": "x", "digest": "d", "source": "", "profile": ""},
    )
    settings = SweepSettings(storage=storage, study_uri=study)
    sweep = create_sweep(home, name, space, settings, trials=2, data=about)
    for number in (0, 1):
        sweep.study.ask(2)
        place = place_at(sweep.folder.trial_address(number))
        place.write("checkpoint", [b"x" * 1000])
    sweep.study.tell(0, Outcome("failed", reason="out of memory"))
    return sweep


def test_what_is_elsewhere_goes_too(
    stores: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study, storage = stores
    monkeypatch.setenv("PCDARTS_TUNE_STUDY_URI", study)
    first, second = (make(tmp_path, name, study, storage) for name in ("first", "second"))
    assert [entry.state for entry in list_sweeps(Where(tmp_path))] == ["unfinished"] * 2
    assert command_line(["clean", "--yes", "--home", str(tmp_path)]) == 0
    assert "2 checkpoints of trials that have ended, 2 kB" in capsys.readouterr().out
    left = place_at(str(first.settings.storage)).files()
    assert left == {"trials/1/checkpoint": 1000}, "it goes on from it"
    with StudyLock(first.study_url, first.study_name, "first"):  # a driver on another machine
        assert command_line(["delete", "first", "--yes", "--home", str(tmp_path)]) == 2
    assert "already being run" in capsys.readouterr().err
    assert command_line(["delete", "first", "--yes", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "s3://" in out and "postgresql://" in out and "not-to-be-seen" not in out
    assert place_at(str(first.settings.storage)).files() == {}
    assert place_at(str(second.settings.storage)).files() == left
    assert [each.study_name for each in optuna.get_all_study_summaries(open_storage(study))] == [
        second.study_name
    ]
    assert [entry.name for entry in list_sweeps(Where(tmp_path))] == ["second"]
    assert not (tmp_path / "mlflow.db").exists(), "nothing was recorded, and looking makes no store"
