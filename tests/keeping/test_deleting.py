"""`delete` on a home of 20 sweeps: what is deleted is gone from study, MLflow and disk, what others need stays, and whatever was
killed is finished by the same command."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import mlflow
import optuna
import pytest
from support.children import in_child
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.journal import Journal
from pcdarts_tune.keeping.listing import list_models, list_sweeps
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tracking.tags import Tag

assert mlflow, optuna  # children find them imported
NAMES = [f"s{number:02}" for number in range(20)]
PROMOTED, BASE, BUSY = "s17", "s18", "s19"


def make_home(home: Path) -> None:
    for name in NAMES:
        make_sweep(home, name, FOUND[1:2])
    promote(home, PROMOTED, versions=2)
    fine_tune(home, BASE)


def promote(home: Path, name: str, versions: int) -> None:
    """What a promotion leaves in MLflow: a run of its own, with a model that is registered."""
    sweep = open_sweep(Where(home), name)
    store, trial = sweep.store(), sweep.record(0)
    tags = {Tag.SWEEP_ID: sweep.about["id"], Tag.SWEEP: name, Tag.TRIAL_RUN: str(trial.run_id)}
    for number in range(versions + 1):  # the last one is not registered
        run, _ = store.open_run(
            sweep.experiment,
            {Tag.KIND: "retraining", Tag.SEED: str(number)},
            name=f"{name} {number}",
            tags=tags,
        )
        store.log_file(run, {"seed": number}, "seed.json")
        experiment = store.client.get_run(run).info.experiment_id
        model = store.client.create_logged_model(experiment, name="model", source_run_id=run)
        files = Path(model.artifact_location.removeprefix("file://"))
        files.mkdir(parents=True)
        (files / "MLmodel").write_text("model")
        if number < versions:
            if number == 0:
                store.client.create_registered_model(name)
            store.client.create_model_version(name, model.artifact_location, run, model_id=model.model_id)
    store.client.set_registered_model_alias(name, "champion", "2")


def fine_tune(home: Path, name: str) -> None:
    """A model was fine-tuned from the folder of one of two promotions."""
    sweep = open_sweep(Where(home), name)
    for key in ("needed", "other"):
        folder = sweep.folder.path / "promotions" / key / "model"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"x" * 1000)
    base = sweep.folder.path / "promotions" / "needed" / "model"
    sweep.store().open_run("tuned", {Tag.KIND: "finetuning"}, name="tuned", tags={Tag.BASE_MODEL: str(base)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("twenty")
    in_child(lambda: make_home(home))
    return home


def run_ids(home: Path, name: str) -> list[str]:
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        found = database.execute("SELECT run_uuid FROM tags WHERE key = ? AND value = ?", (Tag.SWEEP, name))
        return [run for (run,) in found]


def traces(home: Path, name: str, identity: str, runs: Sequence[str]) -> list[str]:
    """Where something of a sweep is left, whatever it is: rows of MLflow's database, files of the home."""
    found = []
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            marks = ",".join("?" * len(runs))
            query = f"SELECT count(*) FROM {table} WHERE run_uuid IN ({marks})"
            found += [table] * (database.execute(query, runs).fetchone()[0] > 0)
        query = "SELECT count(*) FROM tags WHERE value = ?"
        found += ["tags by identity"] * (database.execute(query, (identity,)).fetchone()[0] > 0)
        query = "SELECT count(*) FROM experiment_tags WHERE key LIKE ?"
        view = (f"%pcdarts-{name}-%",)
        found += ["the view"] * (database.execute(query, view).fetchone()[0] > 0)
    found += [str(path) for path in home.rglob("*") if path.name == name or path.name in runs]
    found += [str(path) for path in (home / "deletions").glob("*") if path.name != "lock"]
    return found


def delete(home: Path, *names: str, kill_at: int = 0) -> bool:
    arguments = ["delete", *names, "--yes", "--home", str(home)]
    return in_child(lambda: command_line(arguments), kill_at=kill_at, output=home / "said")


def said(home: Path) -> str:
    return (home / "said").read_text()


def test_a_deletion_killed_at_any_step_is_finished_by_the_next(home: Path) -> None:
    """Each sweep's deletion is killed one step later than the one before."""
    names = NAMES[:16]
    known = {name: (open_sweep(Where(home), name).about["id"], run_ids(home, name)) for name in names}
    assert all(len(runs) == 2 for _, runs in known.values())
    gone = 0
    for step, name in enumerate(names, 1):
        assert delete(home, name, kill_at=step), f"it has fewer than {step} steps"
        there = {entry.name: entry.state for entry in list_sweeps(Where(home))}
        assert set(there.values()) == {"done"}, "a sweep is there whole, or not at all"
        gone += name not in there
        # what has not begun is as it was
        assert name not in there or len(run_ids(home, name)) == 2
    assert gone >= 12
    assert delete(home, *names) is False
    for name in names:
        assert f"{name} is deleted" in said(home)
        assert traces(home, name, *known[name]) == []
    left = [entry.name for entry in list_sweeps(Where(home))]
    assert left == NAMES[16:]
    assert all(len(run_ids(home, name)) >= 2 for name in left), "nothing of the others"


def test_a_deletion_that_is_interrupted_twice(home: Path) -> None:
    name = NAMES[16]
    identity, runs = open_sweep(Where(home), name).about["id"], run_ids(home, name)
    assert delete(home, name, kill_at=4)
    in_child(lambda: command_line(["list", "--home", str(home)]), output=home / "said")
    assert f"pcdarts-tune delete {name}" in said(home)
    assert delete(home, name, kill_at=3)
    assert not delete(home, name)
    assert "which was interrupted" in said(home)
    assert traces(home, name, identity, runs) == []


def test_a_model_keeps_what_it_was_made_of(home: Path) -> None:
    before = {each.reference: each.bytes for each in list_models(Where(home))}
    assert set(before) == {f"{PROMOTED}/1", f"{PROMOTED}/2"} and all(before.values())
    assert len(run_ids(home, PROMOTED)) == 5, "the sweep, a trial, three trainings"
    files = len(list((home / "mlartifacts" / "models").iterdir()))
    delete(home, PROMOTED)
    assert f"stays: {PROMOTED}/1 with the runs that it comes from" in said(home)
    assert len(run_ids(home, PROMOTED)) == 3, "the trial and both registered trainings"
    assert {each.reference: each.bytes for each in list_models(Where(home))} == before
    assert len(list((home / "mlartifacts" / "models").iterdir())) == files - 1, "of the third training"
    assert not (home / "sweeps" / PROMOTED).exists()


def test_the_last_version_takes_along_what_stayed_for_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["delete", f"{PROMOTED}@champion", "--yes", "--home", str(home)]
    assert in_child(lambda: command_line(arguments) == 2, output=home / "said") is False
    assert "is the champion" in said(home) and "rollback" in said(home)
    runs = run_ids(home, PROMOTED)
    assert delete(home, f"{PROMOTED}/1", kill_at=1)
    delete(home, f"{PROMOTED}/1")
    assert [each.reference for each in list_models(Where(home))] == [f"{PROMOTED}/2"]
    assert len(run_ids(home, PROMOTED)) == 2, "the trial is still needed"
    assert all(delete(home, f"{PROMOTED}/2", "--champion", kill_at=step) for step in (2, 3, 4, 5))
    assert len(list(Journal(home).folder.glob("*.json"))) == 1
    delete(home, f"{PROMOTED}/2")
    assert list_models(Where(home)) == [] and run_ids(home, PROMOTED) == []
    assert not [path for path in home.rglob("*") if path.name in runs]
    assert list((home / "mlartifacts" / "models").iterdir()) == []
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM registered_models").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM logged_models").fetchone() == (0,)


def test_a_folder_that_another_model_was_tuned_from_stays(home: Path) -> None:
    delete(home, f"sweep:{BASE}")
    assert "from which another model was fine-tuned" in said(home)
    left = [path for path in (home / "sweeps" / BASE).rglob("*") if path.is_file()]
    assert left == [home / "sweeps" / BASE / "promotions" / "needed" / "model" / "weights.safetensors"]
    assert run_ids(home, BASE) == []


def refused(home: Path, *arguments: str) -> str:
    command = ["delete", *arguments, "--home", str(home)]
    assert in_child(lambda: command_line(command) == 2, output=home / "said") is False
    return said(home)


def test_what_is_refused(home: Path) -> None:
    assert "--yes" in refused(home, BUSY), "there is no terminal"
    assert f"{BUSY}:0 is a trial" in refused(home, f"{BUSY}:0", "--yes")
    assert f"did you mean '{BUSY}'" in refused(home, "s199", "--yes")
    with (home / "sweeps" / BUSY / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "already being run" in refused(home, BUSY, "--yes")
    lock = home / "sweeps" / BUSY / "promotions" / "key" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is being promoted" in refused(home, BUSY, "--yes")
    assert [entry.name for entry in list_sweeps(Where(home))] == [BUSY]


def test_runs_are_kept_where_that_is_wanted(home: Path) -> None:
    runs = run_ids(home, BUSY)
    in_child(
        lambda: command_line(["delete", BUSY, "--keep-runs", "--yes", "--json", "--home", str(home)]),
        output=home / "said",
    )
    answer = json.loads(said(home).splitlines()[-1])
    (gone,) = answer["deleted"]
    assert (gone["name"], gone["kind"], answer["finished"]) == (BUSY, "sweep", [])
    assert gone["bytes"] > 10_000 and gone["stays"] == ["what MLflow has of it (--keep-runs)"]
    assert run_ids(home, BUSY) == runs and list_sweeps(Where(home)) == []
