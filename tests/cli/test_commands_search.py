"""`search` and `retrain` in this process on the digits, with small budgets: results, interruption, files, MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from pcdarts_tune import say as progress
from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.models.model import load_model

SEARCH = ["search", "--space", "quickstart", "--device", "cpu"]
SEARCH += ["--set", "search.epochs=2", "--set", "search.arch_warmup_epochs=1", "--set", "supernet.channels=4"]
SMALLER = ["--set", "data.test_fraction=0.7"]  # fewer to train on
SEARCH += SMALLER
RETRAIN = ["--space", "quickstart", "--device", "cpu", *SMALLER]
for setting in ("retrain.channels=4", "retrain.layers=3", "retrain.epochs=2"):
    RETRAIN += ["--set", setting]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_a_search_has_the_threads_that_it_is_given(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pcdarts_tune.machine import cores

    before = torch.get_num_threads()
    try:
        for threads in (1, cores() + 1):
            asked = ("--threads", str(threads), "--home", str(home), "-o", str(tmp_path / "found.json"))
            assert cli.run([*SEARCH, *asked]) == 0
            assert torch.get_num_threads() == threads
            said = f"note: --threads {threads}, and" in capsys.readouterr().err
            assert said == (threads > cores())
    finally:
        torch.set_num_threads(before)


def interrupt_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the end of an epoch."""
    update = progress.Progress.update

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        if done == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "update", interrupt)


def weights(folder: Path) -> dict[str, Any]:
    return load_model(folder).network.state_dict()


def test_search_prints_its_genotype_and_runs_without_ray_optuna_and_mlflow(
    home: Path, tmp_path: Path
) -> None:
    output = tmp_path / "genotype.json"
    blocked = "import sys; sys.modules.update(dict.fromkeys(('ray', 'optuna', 'mlflow')))"
    code = f"{blocked}; from pcdarts_tune.cli.group import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *SEARCH, "--home", str(home), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    genotype = Genotype.from_dict(json.loads(done.stdout))
    assert json.loads(output.read_text()) == genotype.to_dict()
    assert "search: 2/2" in done.stderr
    assert "supernet accuracy" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["genotype.json"], "no checkpoint is left"


def test_interrupted_search_goes_on_and_ends_the_same(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run([*SEARCH, "--home", str(home), "--json", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    undisturbed = json.loads(captured.out)

    output = tmp_path / "genotype.json"
    arguments = [*SEARCH, "--home", str(home), "--json", "-o", str(output)]
    interrupt_after(1, monkeypatch)
    assert cli.run(arguments) == 130
    monkeypatch.undo()
    assert not output.exists()
    capsys.readouterr()
    assert cli.run(arguments) == 0
    captured = capsys.readouterr()
    assert "goes on after epoch 1 of 2" in captured.err
    resumed = json.loads(captured.out)
    for key in ("genotype", "genotype_hash", "epochs"):
        assert resumed[key] == undisturbed[key]
    for name in ("search/loss_train", "search/acc_train", "arch/alpha_entropy_normal"):
        assert resumed["metrics"][name] == undisturbed["metrics"][name]


def test_checkpoint_of_another_recipe_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*SEARCH, "--home", str(home), "-o", str(tmp_path / "genotype.json")]
    interrupt_after(1, monkeypatch)
    assert cli.run(arguments) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert cli.run([*arguments, "--seed", "1"]) == 2
    assert "another recipe" in capsys.readouterr().err
    (tmp_path / "genotype.json.checkpoint").write_bytes(b"damaged")
    assert cli.run(arguments) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_seed_decides(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    once = [
        "--set",
        "search.epochs=1",
        "--set",
        "search.arch_warmup_epochs=0",
        "--set",
        "supernet.channels=4",
    ]
    for seed in ("3", "3", "4"):
        arguments = ["search", "--space", "quickstart", "--device", "cpu", *once, "--seed", seed]
        assert cli.run([*arguments, "--home", str(home), "--json", "-q"]) == 0
        found.append(json.loads(capsys.readouterr().out)["metrics"]["search/loss_train"])
    assert found[0] == found[1] != found[2]


def test_retraining_writes_a_model_and_a_run(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, resumed = tmp_path / "plain", tmp_path / "resumed"
    arguments = ["retrain", "PC_DARTS_cifar", *RETRAIN, "--home", str(home), "--json"]
    assert cli.run([*arguments, "-o", str(plain), "--no-track"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run_id"] is None
    assert result["folder"] == str(plain)
    assert result["epochs"] == 2
    assert load_model(plain).genotype == PUBLISHED["PC_DARTS_cifar"]

    # interrupted and gone on with, the weights are the same bits, and MLflow has one run
    interrupt_after(1, monkeypatch)
    assert cli.run([*arguments, "-o", str(resumed)]) == 130
    monkeypatch.undo()
    assert not resumed.exists()
    capsys.readouterr()
    assert cli.run([*arguments, "-o", str(resumed)]) == 0
    tracked = json.loads(capsys.readouterr().out)
    assert {key: tracked[key] for key in ("test_accuracy", "test_loss", "validation_accuracy", "epochs")} == {
        key: result[key] for key in ("test_accuracy", "test_loss", "validation_accuracy", "epochs")
    }
    one, other = weights(plain), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    steps = [point.step for point in client.get_metric_history(tracked["run_id"], "retrain/loss_train")]
    assert steps == [0, 1]
    assert client.get_run(tracked["run_id"]).info.status == "FINISHED"

    # finished: nothing is trained again, and another recipe does not overwrite it
    assert cli.run([*arguments, "-o", str(resumed)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == tracked
    assert "done before" in captured.err
    assert cli.run([*arguments, "-o", str(resumed), "--seed", "9"]) == 2
    assert "another genotype, recipe, seed or data set" in capsys.readouterr().err

    # a run is a genotype too
    picture = tmp_path / "cells.png"
    assert cli.run(["draw", tracked["run_id"], "-o", str(picture), "--home", str(home)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = [
        "retrain",
        tracked["run_id"],
        *RETRAIN,
        "--home",
        str(home),
        "-o",
        str(tmp_path / "again"),
        "--json",
    ]
    assert cli.run(again) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["test_loss"] == tracked["test_loss"]
    assert client.get_run(second["run_id"]).data.tags["pcdarts.trial_run"] == tracked["run_id"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--space", "quikstart"], "did you mean 'quickstart'?"),
        (["search", "--space", "quickstart", "--set", "search.epoch=3"], "search.epochs"),
        (["search", "--space", "quickstart", "--set", "search.epochs=many"], "search.epochs"),
        (["search", "--space", "quickstart", "--data", "nowhere"], "does not exist"),
        (["search", "--space", "imagenet"], "--data DIR"),
        (["retrain", "PC_DARTS_cfar", "--space", "quickstart", "-o", "m"], "did you mean 'PC_DARTS_cifar'?"),
        (["retrain", "0" * 32, "--space", "quickstart", "-o", "m"], "nothing is recorded"),
        (["retrain", "broken.json", "--space", "quickstart", "-o", "m"], "cannot be read as JSON"),
        (["retrain", "wrong.json", "--space", "quickstart", "-o", "m"], "sep_conv_3x3"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = PUBLISHED["DARTS_V2"].to_dict()
    wrong["normal"][0] = ["sep_konv_3x3", 0]
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    (tmp_path / "broken.json").write_text("{")
    assert cli.run([*arguments, "--home", str(tmp_path / "home")]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert not (tmp_path / "home").exists()
