"""`promote`: a real study and a real MLflow store; the genotype is retrained on the digits, tested, registered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from PIL import Image
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.files import hold_lock, read_json, write_json
from pcdarts_tune.home import SweepFolder, default_tracking_uri


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "home"
    make_sweep(home, "first", FOUND)
    make_sweep(home, "empty", FOUND[2:])
    return home


@pytest.fixture(scope="module")
def home(made: Path) -> Path:
    """One home for the tests that follow each other; MLflow's files lie at absolute places, so it is not copied."""
    return made


def run(home: Path, *arguments: str) -> int:
    return cli.run([*arguments, "--home", str(home), "--device", "cpu"])


def result(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_promotion_end_to_end(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "promote", "first", "--json") == 0
    captured = capsys.readouterr()
    promoted = json.loads(captured.out)
    assert promoted["model"] == "first"
    assert promoted["version"] == 1
    assert promoted["champion"]
    assert 0 <= promoted["test_accuracy"] <= 1
    assert "retraining: 1/2" in captured.err
    assert "trial 1 of first" in captured.err

    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    retraining = client.get_run(promoted["run_id"])
    assert retraining.info.status == "FINISHED"
    assert retraining.data.tags["pcdarts.kind"] == "retraining"
    trial = client.get_run(retraining.data.tags["pcdarts.trial_run"])
    assert trial.data.tags["pcdarts.trial"] == "1"
    assert trial.data.tags["pcdarts.retraining_run"] == promoted["run_id"]
    for metric in ("retrain/loss_train", "retrain/acc_held_out", "retrain/images_per_second"):
        assert [point.step for point in client.get_metric_history(promoted["run_id"], metric)] == [0, 1]
    assert retraining.data.metrics["test/acc"] == promoted["test_accuracy"]
    assert {"genotype.json", "space.json", "cells.svg"} <= {
        f.path for f in client.list_artifacts(promoted["run_id"])
    }
    champion = client.get_model_version_by_alias("first", "champion")
    assert int(champion.version) == 1
    assert champion.run_id == promoted["run_id"]
    assert float(champion.tags["pcdarts.test_accuracy"]) == promoted["test_accuracy"]

    image = tmp_path / "digit.png"
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(image)
    assert run(home, "predict", "first@champion", str(image), "--json") == 0
    prediction = result(capsys)
    assert prediction["image"] == str(image)
    assert prediction["class"] in "0123456789"
    assert 0.1 <= prediction["probability"] <= 1


def test_finished_promotion_is_not_done_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "promote", "first", "--json") == 0
    first = result(capsys)
    assert run(home, "promote", "first", "--trial", "1", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == first
    assert "retraining: 1/2" not in captured.err


def test_worse_model_is_registered_and_does_not_become_champion(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "promote", "first", "--json") == 0
    best = result(capsys)
    # one epoch at a learning rate that learns nothing
    worse = (
        "promote",
        "first",
        "--trial",
        "0",
        "--set",
        "retrain.epochs=1",
        "--set",
        "retrain.learning_rate=1e-6",
    )
    assert run(home, *worse, "--json") == 0
    captured = capsys.readouterr()
    second = json.loads(captured.out)
    assert second["version"] > best["version"]
    assert not second["champion"]
    assert "keeps its champion" in captured.err
    assert "--force" in captured.err
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    assert int(client.get_model_version_by_alias("first", "champion").version) == best["version"]

    assert run(home, *worse, "--json", "--force") == 0
    assert result(capsys) == {**second, "champion": True}
    assert int(client.get_model_version_by_alias("first", "champion").version) == second["version"]
    assert run(home, "promote", "first", "--json") == 0
    assert result(capsys)["champion"]


def test_run_of_a_trial_can_be_named_and_the_model_too(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    (experiment,) = [e for e in client.search_experiments() if e.name == "quickstart"]
    (trial,) = client.search_runs(
        [experiment.experiment_id], "tags.`pcdarts.trial` = '1' and tags.`pcdarts.kind` = 'trial'"
    )
    assert run(home, "promote", "first", "--run", trial.info.run_id, "--model", "other", "--json") == 0
    other = result(capsys)
    assert other["model"] == "other"
    assert other["version"] == 1
    assert other["champion"]


def test_interrupted_promotion_goes_on_in_the_same_run(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pcdarts_tune import say as progress

    update = progress.Progress.update

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        if done == 2:
            raise KeyboardInterrupt

    arguments = (
        "promote",
        "first",
        "--trial",
        "0",
        "--set",
        "retrain.epochs=3",
        "--model",
        "third",
        "--json",
    )
    monkeypatch.setattr(progress.Progress, "update", interrupt)
    assert run(home, *arguments) == 130
    monkeypatch.undo()
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    (experiment,) = [e for e in client.search_experiments() if e.name == "quickstart"]
    killed = client.search_runs([experiment.experiment_id], "attributes.status = 'KILLED'")
    assert len(killed) == 1
    capsys.readouterr()

    assert run(home, *arguments) == 0
    captured = capsys.readouterr()
    assert "goes on after epoch 2 of 3" in captured.err
    promoted = json.loads(captured.out)
    assert promoted["run_id"] == killed[0].info.run_id
    assert [p.step for p in client.get_metric_history(promoted["run_id"], "retrain/loss_train")] == [0, 1, 2]
    assert client.get_run(promoted["run_id"]).info.status == "FINISHED"

    # the same without an interruption, elsewhere
    other = home.parent / "other"
    make_sweep(other, "first", FOUND)
    assert run(other, *arguments) == 0
    assert result(capsys)["test_accuracy"] == promoted["test_accuracy"]
    loss = "retrain/loss_train"
    undisturbed = mlflow.MlflowClient(default_tracking_uri(other), default_tracking_uri(other))
    (run_id,) = [r.info.run_id for r in undisturbed.search_runs(["1"], "tags.`pcdarts.kind` = 'retraining'")]
    assert [p.value for p in undisturbed.get_metric_history(run_id, loss)] == [
        p.value for p in client.get_metric_history(promoted["run_id"], loss)
    ]
    shutil.rmtree(other)


def test_changed_images_are_refused_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    make_sweep(home, "first", FOUND)
    record = SweepFolder.of(home, "first").record_file
    about = read_json(record)
    about["data"]["digest"] = "0123abcd"
    write_json(record, about)
    arguments = ("promote", "first", "--set", "retrain.epochs=1", "--json")
    assert run(home, *arguments) == 2
    captured = capsys.readouterr()
    assert "have changed" in captured.err
    assert "0123abcd" in captured.err
    assert "--force" in captured.err
    assert not (home / "sweeps" / "first" / "promotions").exists(), "nothing was begun"
    assert run(home, *arguments, "--force") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["version"] == 1
    assert "note: the images of sweep 'first' have changed" in captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["promote", "frist"], 2, "did you mean 'first'?"),
        (["promote", "first", "--trial", "9"], 2, "no trial 9"),
        (["promote", "first", "--trial", "2"], 2, "out of memory"),
        (["promote", "first", "--run", "0" * 32], 2, "not the run of a trial"),
        (["promote", "first", "--trial", "1", "--run", "0" * 32], 2, "give one of them"),
        (["promote", "first", "--set", "search.epochs=3"], 2, "only retrain."),
        (["promote", "first", "--set", "retrain.epoch=3"], 2, "retrain.epochs"),
        (["promote", "first", "--model", "a/b"], 2, "none of / : @"),
        (["promote", "empty"], 1, "extend empty --trials +N"),
        (["retrain", "first:2", "-o", "never"], 2, "trial 2 of sweep 'first' is failed: out of memory"),
        (["retrain", "first:7", "-o", "never"], 2, "no trial 7"),
        (["predict", "frist", "x.png"], 2, "did you mean 'first'?"),
    ],
)
def test_what_cannot_be_promoted_is_refused(
    home: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, *arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_trial_names_its_genotype_and_what_was_not_tracked_is_not_registered(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["retrain", "first:1", "--space", "quickstart", "-o", str(tmp_path / "model"), "--json"]
    for setting in ("epochs=1", "channels=4", "layers=3"):
        words += ["--set", f"retrain.{setting}"]
    assert run(home, *words, "--no-track") == 0
    assert read_json(tmp_path / "model" / "genotype.json") == dict(FOUND[1].genotype or {})
    assert read_json(tmp_path / "model" / "model.json")["origin"]["genotype"] == "first:1"
    assert result(capsys)["run_id"] is None
    assert run(home, *words, "--register", "late") == 2
    assert "trained with --no-track" in capsys.readouterr().err


def test_the_status_of_a_sweep_without_a_complete_trial_says_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["status", "empty", "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert f"no trial is complete; pcdarts-tune leaderboard empty --home {home} has the reasons" in said


def test_a_training_that_another_promotion_runs_is_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    make_sweep(home, "first", FOUND)
    arguments = ("promote", "first", "--set", "retrain.epochs=1")
    assert run(home, *arguments) == 0
    (place,) = (home / "sweeps" / "first" / "promotions").iterdir()
    shutil.rmtree(place / "model")
    with hold_lock(place / "lock", "", ""):
        assert run(home, *arguments) == 2
    assert "is already being trained with seed 0, by process" in capsys.readouterr().err
    assert not (place / "model").exists()
