"""What a database's errors are told apart by: real ones, of SQLite files in the state that the name of each test says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pcdarts_tune.addresses import sqlite_address
from pcdarts_tune.databases import find_trouble, is_database_error
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.sweeps.study import storage
from pcdarts_tune.sweeps.study.storage import explain_open_errors, open_storage

REPLACES = ("restore", "delete", "replace", "remove", "from a copy")
"""Words of advice that would cost a person a file that is sound."""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Optuna's tables."""
    file = tmp_path / "study.db"
    open_storage(sqlite_address(file)).remove_session()
    return file


def opened(file: Path) -> UserError:
    """What is said when the study there is opened."""
    url = sqlite_address(file)
    with pytest.raises(UserError) as raised, explain_open_errors(url):
        open_storage(url).get_all_studies()
    return raised.value


def sound(error: UserError) -> bool:
    return not any(word in (error.hint or "") for word in REPLACES)


def test_a_locked_study_is_waited_for_and_not_to_be_replaced(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "UNLOCKED_WITHIN", 0.1)
    with closing(sqlite3.connect(study)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = opened(study)
    assert isinstance(error, WorkFailed)
    assert "database is locked" in str(error)
    assert "another process is writing" in (error.hint or "")
    assert sound(error)


def test_a_missing_folder_or_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    assert "there is no folder" in (opened(tmp_path / "none" / "study.db").hint or "")
    (tmp_path / "study.db").mkdir()
    assert "is a folder" in (opened(tmp_path / "study.db").hint or "")


def test_a_damaged_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 1000)
    error = opened(tmp_path / "study.db")
    assert "file is not a database" in str(error)
    assert (error.hint or "").startswith("keep it as it is")
    assert error.exit_code == 2


@pytest.mark.parametrize(("version", "advice"), [("v9.0.a", "newer"), ("v3.0.0.a", "optuna storage upgrade")])
def test_tables_of_another_optuna_are_told_by_their_age(study: Path, version: str, advice: str) -> None:
    with closing(sqlite3.connect(study)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    error = opened(study)
    assert advice in (error.hint or "")
    assert error.exit_code == 2


def test_a_missing_right_is_told(study: Path) -> None:
    with (
        closing(sqlite3.connect(f"{study.as_uri()}?mode=ro", uri=True)) as database,
        pytest.raises(sqlite3.Error) as raised,
    ):
        database.execute("DELETE FROM studies")
    trouble = find_trouble(raised.value, sqlite_address(study))
    assert trouble.kind == "rights"
    assert "mounted read-only" in trouble.hint


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("CREATE TABLE t (x BLOB)")
        database.execute("PRAGMA max_page_count = 10")
        with pytest.raises(sqlite3.Error) as raised:
            database.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    trouble = find_trouble(raised.value, sqlite_address(tmp_path / "x.db"))
    assert trouble.kind == "full"
    assert isinstance(trouble.explain("the study"), WorkFailed)
    assert "make space" in trouble.hint


def test_only_a_databases_errors_are_taken_for_such() -> None:
    assert is_database_error(sqlite3.OperationalError("database is locked"))
    assert is_database_error(RuntimeError("(sqlite3.OperationalError) database is locked\n[SQL: …]"))
    assert not is_database_error(RuntimeError("something else is locked"))
