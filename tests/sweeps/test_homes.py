"""Homes whose path holds every sign that an address gives a meaning, that were moved and copied, and stores that refuse."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.addresses import check_uri, has_secret, sqlite_address, sqlite_file, without_secret
from pcdarts_tune.cli.group import run
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.ops import OPERATIONS
from pcdarts_tune.doctor.stores import check_mlflow
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import SweepFolder, Where, default_tracking_uri, sweep_lock
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.sweeps import launch
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import Ended
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tracking.lookup import RunReader, registered_models
from pcdarts_tune.tracking.moved import follow_home, moved_from
from pcdarts_tune.tracking.reach import NoAnswer, require_store
from pcdarts_tune.tracking.registry import create_version, fetch_model, log_model
from pcdarts_tune.tracking.store import MlflowStore
from pcdarts_tune.tracking.tags import Tag

ODD = "a b%20c%?x=1&y#z'q\"{u}@v:w é"
"""A folder's name."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SweepHandle:
    """A sweep in a home of such a path."""
    home = tmp_path_factory.mktemp("homes") / ODD / "home"
    return make_sweep(home, "first", FOUND[1:])


def test_all_of_a_home_lies_in_it_whatever_its_path(made: SweepHandle) -> None:
    home = made.where.home
    outer = home.parent.parent
    assert {path.name for path in outer.iterdir()} == {ODD}
    assert [path.name for path in home.parent.iterdir()] == ["home"]
    for file in (home / "mlflow.db", made.folder.path / "study.db"):
        assert file.read_bytes().startswith(b"SQLite format 3")
    with closing(sqlite3.connect(made.folder.path / "study.db")) as study:
        tables = {name for (name,) in study.execute("SELECT name FROM sqlite_master")}
    assert "studies" in tables
    assert "experiments" not in tables


def test_a_home_of_any_path_is_read_again(made: SweepHandle) -> None:
    again = open_sweep(Where(made.where.home), "first")
    assert [record.objective for record in again.records()] == [0.9, None]
    runs = RunReader(again.tracking_uri)
    (run_id,) = [r.run_id for r in again.records() if r.trial == 0]
    assert run_id is not None
    found = runs.run(run_id)
    assert found is not None
    assert (
        runs.json(again.store().client.get_run(again.study.notes()["run"]), "space.json")["name"]
        == "quickstart"
    )


def test_a_model_is_registered_and_fetched_in_a_home_of_any_path(made: SweepHandle, tmp_path: Path) -> None:
    sizes = {
        "channels": 4,
        "layers": 3,
        "num_classes": 2,
        "stem": "cifar",
        "auxiliary": False,
        "in_channels": 1,
    }
    genotype = PUBLISHED["DARTS_V2"]
    prepared = {"image_size": 8, "channels": 1, "mean": [0.5], "std": [0.5], "resize": "fit"}
    network = EvaluationNetwork(genotype, **sizes)
    model = save_model(tmp_path / ODD / "model", network, genotype, sizes, ("a", "b"), prepared)
    store = made.store()
    run_id, _ = store.open_run(made.experiment, {"who": "model"}, name="model")
    address, model_id = log_model(model, run_id=run_id, tracking_uri=store.uri)
    create_version(store.client, "first", address, model_id, run_id, {})
    fetched = load_model(fetch_model("first/1", tracking_uri=store.uri))
    assert fetched.genotype == genotype
    assert registered_models(made.where.home) == {"first": ["first/1"]}


@pytest.mark.parametrize("name", [ODD, "plain", "x%2Fy", "?", "#", "''", "%", "a+b", "100%_sure", "über"])
def test_an_address_names_its_file_and_no_other(tmp_path: Path, name: str) -> None:
    import sqlalchemy

    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir(exist_ok=True)
    uri = sqlite_address(file)
    assert sqlite_file(uri) == file
    assert check_uri(uri) == uri
    assert sqlite_file(check_uri(f"{uri}?timeout=5")) == file
    assert without_secret(uri) == uri
    assert not has_secret(uri)
    with sqlalchemy.create_engine(uri).connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (x)"))
        connection.commit()
    assert file.stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {name}


def files_of(home: Path) -> dict[str, int]:
    """What a home holds, with the sizes; the databases have other names while they are written to."""
    return {
        str(path.relative_to(home)): path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()
    }


def addresses(home: Path) -> set[str]:
    """All places that MLflow's records name."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        return {
            address
            for query in (
                "SELECT artifact_uri FROM runs",
                "SELECT artifact_location FROM experiments WHERE name != 'Default'",
            )
            for (address,) in database.execute(query)
        }


def test_a_copy_of_a_home_never_writes_into_the_original(
    made: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, before = made.where.home, files_of(made.where.home)
    copy = shutil.copytree(home, tmp_path / "copy of 100%" / "home")
    check = check_mlflow(Where(copy))
    assert (check.status, f"was at {home}" in check.finding) == ("warn", True)
    assert addresses(copy) == addresses(home)  # a look changes nothing
    sweep = open_sweep(Where(copy), "first")
    run_id, fresh = sweep.store().open_run("quickstart", {"who": "copy"}, name="new")
    sweep.store().log_file(run_id, "a text", "new.txt")
    assert fresh
    assert f"{home}" in capsys.readouterr().err
    assert files_of(home) == before
    assert all(address.startswith((copy / "mlartifacts").as_uri()) for address in addresses(copy))
    assert (copy / "mlartifacts" / run_id / "artifacts" / "new.txt").read_text() == "a text"
    parent = RunReader(sweep.tracking_uri).client.get_run(sweep.study.notes()["run"])
    assert RunReader(sweep.tracking_uri).json(parent, "space.json")["name"] == "quickstart"
    assert check_mlflow(Where(copy)).status == "ok"

    moved = copy.rename(tmp_path / "moved")
    assert moved_from(moved / "mlflow.db") == copy
    follow_home(default_tracking_uri(moved))
    assert all(address.startswith((moved / "mlartifacts").as_uri()) for address in addresses(moved))


def test_a_home_under_another_name_is_the_same(made: SweepHandle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made.where.home)
    before = addresses(made.where.home)
    follow_home(default_tracking_uri(tmp_path / "link"))
    assert addresses(made.where.home) == before


def test_a_home_in_use_under_another_path_is_left_alone(made: SweepHandle, tmp_path: Path) -> None:
    copy = shutil.copytree(made.where.home, tmp_path / "home")
    before = addresses(copy)
    with (
        sweep_lock(SweepFolder.of(copy, "first")),
        pytest.raises(UserError, match="in use under another path"),
    ):
        follow_home(default_tracking_uri(copy))
    assert addresses(copy) == before


def test_a_database_beside_no_home_does_not_make_a_home_anew_that_has_gone(
    made: SweepHandle, tmp_path: Path
) -> None:
    shutil.copy(made.where.home / "mlflow.db", tmp_path / "other.db")
    uri, gone = sqlite_address(tmp_path / "other.db"), tmp_path / "gone"
    with closing(sqlite3.connect(tmp_path / "other.db")) as database, database:
        location = (gone / "mlartifacts").as_uri()
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'quickstart'", (location,)
        )
    with pytest.raises(UserError, match="which is gone") as raised:
        MlflowStore.of(Where(tmp_path / "here", uri)).experiment("quickstart")
    assert f"ln -s {tmp_path / 'here'} {gone}" in str(raised.value.hint)
    assert not gone.exists()


def test_what_a_sweep_keeps_in_its_home_moves_with_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    kept = SweepSettings(
        storage=str(home / "shared"),
        data_root=str(home / "images"),
        tracking_uri=f"sqlite:///{home}/mlflow.db",
    )
    data = {"name": "x", "digest": "x", "source": "x", "profile": ""}
    create_sweep(home, "first", load_space("quickstart"), kept, trials=1, data=data)
    moved = home.rename(tmp_path / "moved")
    sweep = open_sweep(Where(moved), "first")
    assert sweep.folder.trial(0).is_relative_to(moved / "shared")
    assert sweep.data_root == moved / "images"
    assert sweep.tracking_uri == default_tracking_uri(moved)
    assert str(home) not in sweep.folder.record_file.read_text()


class _Refuses(BaseHTTPRequestHandler):
    """A proxy before an MLflow server that lets nobody write."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"forbidden")

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_store_that_refuses_is_told_before_the_sweep_also_when_quiet(
    refusing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--space", "quickstart", "--trials", "1", "--name", "no", "-q"]
    code = run([*words, "--home", str(tmp_path), "--tracking-uri", refusing])
    said = capsys.readouterr()
    assert code == 2
    assert "refuses" in said.err
    assert "403" in said.err
    assert said.out == ""
    assert not (tmp_path / "sweeps" / "no").exists()


@pytest.mark.parametrize(
    ("version", "advice"), [("451aebb31d03", "mlflow db upgrade"), ("ffffffffffff", "newer")]
)
def test_a_schema_that_does_not_fit_is_refused_before_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, advice: str
) -> None:
    """Only what MLflow reads first: the version of the tables."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        for table in mlflow_tables():
            database.execute(f"CREATE TABLE {table} (x)")
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    words = ["sweep", "--space", "quickstart", "--trials", "1", "--name", "no", "-q"]
    assert run([*words, "--home", str(tmp_path)]) == 2
    assert advice in capsys.readouterr().err
    assert not (tmp_path / "sweeps" / "no").exists()


def mlflow_tables() -> list[str]:
    """The tables whose presence tells MLflow that a database is not new."""
    from mlflow.store.db.base_sql_model import Base

    return sorted(Base.metadata.tables)


def test_what_was_not_delivered_is_an_error(made: SweepHandle) -> None:
    with pytest.raises(WorkFailed, match="did not take 3 records .403 Forbidden.") as raised:
        launch._say_what_next(made, Ended("done", 3, "403 Forbidden"), made.records())
    assert raised.value.exit_code == 1
    assert "resume first" in (raised.value.hint or "")
    with pytest.raises(WorkFailed):
        launch._say_what_next(made, Ended("time budget", 1, None), made.records())


def test_what_was_not_delivered_is_said_when_interrupted(
    made: SweepHandle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch._say_what_next(made, Ended("interrupted", 3, "403"), made.records()) == 130
    assert "Error: MLflow did not take 3 records" in capsys.readouterr().err


def test_a_store_that_takes_all_is_not_complained_about(made: SweepHandle) -> None:
    require_store(made.store(), made.experiment)
    with pytest.raises(NoAnswer):
        require_store(MlflowStore("http://127.0.0.1:9"), "x")


def test_a_run_that_was_deleted_is_absent_and_comes_back_when_it_is_gone_on_with(
    made: SweepHandle, tmp_path: Path
) -> None:
    sweep = open_sweep(Where(shutil.copytree(made.where.home, tmp_path / "home")), "first")
    store, runs = sweep.store(), RunReader(sweep.tracking_uri)
    (trial,) = [record.run_id for record in sweep.records() if record.trial == 0]
    assert trial is not None
    store.tag_related(trial, {"a": "1"})
    found = runs.run(trial)
    assert found is not None
    assert found.data.tags["a"] == "1"
    store.client.delete_run(trial)
    assert runs.run(trial) is None
    store.tag_related(trial, {"a": "2"})  # as `promote` does: nothing to write to, and no error
    store.tag_related("0" * 32, {"a": "2"})
    identity = {key: found.data.tags[key] for key in (Tag.SWEEP_ID, Tag.TRIAL, Tag.KIND)}
    assert store.open_run("quickstart", identity, name="again") == (trial, False)
    again = runs.run(trial)
    assert again is not None
    assert again.data.tags["a"] == "1"
    store.client.delete_run(trial)
    store.restore_run(trial)
    assert runs.run(trial) is not None


def test_an_operation_that_this_process_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"name": "x", "digest": "x", "source": "x", "profile": ""}
    with monkeypatch.context() as registered:
        registered.setitem(OPERATIONS, "mine", OPERATIONS["skip_connect"])
        space = override(load_space("quickstart"), ["supernet.primitives=[none,skip_connect,mine]"])
        create_sweep(tmp_path, "own", space, SweepSettings(), trials=1, data=data)
        assert run(["leaderboard", "own", "--home", str(tmp_path)]) == 0
    capsys.readouterr()
    for command in ("leaderboard", "status", "resume"):
        assert run([command, "own", "--home", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "was made with mine, which this process does not know" in said
        assert "restore" not in said
        assert "the record is sound" in said


def test_a_record_that_was_changed_is_not_taken_for_an_operation_that_is_lacking(tmp_path: Path) -> None:
    data = {"name": "x", "digest": "x", "source": "x", "profile": ""}
    sweep = create_sweep(tmp_path, "first", load_space("quickstart"), SweepSettings(), trials=1, data=data)
    record = json.loads(sweep.folder.record_file.read_text())
    record["space"]["data"]["group"] = "("
    sweep.folder.record_file.write_text(json.dumps(record))
    with pytest.raises(
        UserError, match="is not what this version writes: .*'\\(' is no regular expression"
    ) as raised:
        _ = open_sweep(Where(tmp_path), "first").space
    assert "install" not in (raised.value.hint or "")


def test_a_study_that_is_missing_is_not_made_anew(tmp_path: Path) -> None:
    data = {"name": "x", "digest": "x", "source": "x", "profile": ""}
    sweep = create_sweep(tmp_path, "first", load_space("quickstart"), SweepSettings(), trials=1, data=data)
    (sweep.folder.path / "study.db").unlink()
    with pytest.raises(UserError, match=r"study.db is missing") as raised:
        open_sweep(Where(tmp_path), "first").records()
    assert "delete" not in (raised.value.hint or "")
    assert not (sweep.folder.path / "study.db").exists()
