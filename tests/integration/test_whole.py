"""The whole job on real images: CIFAR-10 through `sweep`, `promote` and `predict`, and MLflow's pages in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from pcdarts_tune.cli import run as command_line
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.recording.browse import serving, trials_link

CIFAR = os.environ.get("PCDARTS_TUNE_TEST_DATA")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = Path(__file__).parents[2] / "test-artefacts"
SETTINGS = [
    ("search.epochs", 2),
    ("search.arch_warmup_epochs", 1),
    ("search.batch_size", 64),
    ("supernet.channels", 4),
    ("supernet.layers", 3),
    ("supernet.k", 4),
    ("evaluation.channels", 4),
    ("evaluation.layers", 3),
    ("evaluation.epochs", 2),
    ("retrain.channels", 4),
    ("retrain.layers", 3),
    ("retrain.epochs", 2),
    ("data.held_out", 0.2),
]


@dataclass(frozen=True)
class Whole:
    home: Path
    data: Path
    board: list[dict[str, Any]]
    promoted: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A sweep of 2 trials over 600 real images, and the best of them promoted, by the commands themselves."""
    if CIFAR is None:
        pytest.skip("PCDARTS_TUNE_TEST_DATA names no folder with cifar10-train.parquet")
    folder = tmp_path_factory.mktemp("whole")
    data, home = folder / "images", folder / "home"
    data.mkdir()
    for split, count in (("train", 600), ("test", 200)):
        pq.write_table(
            pq.read_table(Path(CIFAR) / f"cifar10-{split}.parquet").slice(0, count), data / f"{split}.parquet"
        )
    changes = [part for key, value in SETTINGS for part in ("--set", f"{key}={value}")]
    common = ["--home", str(home), "--json", "-q"]
    sweep = [
        "sweep",
        "--space",
        "cifar10",
        "--name",
        "real",
        "--trials",
        "2",
        "--data",
        str(data),
        *changes,
        *common,
    ]
    return Whole(home, data, _json(sweep), _json(["promote", "real", *common]))


def _json(arguments: list[str]) -> Any:
    """What a command prints with --json, run in a process of its own as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", "pcdarts_tune", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_real_images_go_through_sweep_promote_and_predict(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [entry["state"] for entry in whole.board] == ["complete", "complete"]
    assert whole.board[0]["objective"] >= whole.board[1]["objective"]
    assert set(whole.board[0]) >= {
        "trial", "state", "objective", "genotype", "genotype_hash", "params", "macs", "hyperparameters", "run_id",
        "reason",
    }  # fmt: skip
    assert set(whole.promoted) >= {"model", "version", "test_accuracy", "run_id"}
    image = whole.home / "frog.png"
    row = pq.read_table(whole.data / "test.parquet").slice(3, 1).to_pylist()[0]
    image.write_bytes(row["image"]["bytes"])
    arguments = ["predict", "real@champion", str(image), "--json", "--home", str(whole.home)]
    assert command_line(arguments) == 0
    prediction = json.loads(capsys.readouterr().out)
    names = pq.read_schema(whole.data / "test.parquet").metadata[b"class_names"].decode().split(",")
    assert prediction["class"] in names
    assert 1 / len(names) <= prediction["probability"] <= 1


def test_the_retraining_and_its_trial_know_of_each_other(whole: Whole) -> None:
    uri = default_tracking_uri(whole.home)
    client = MlflowClient(uri, uri)
    retraining = client.get_run(whole.promoted["run_id"])
    trial = client.get_run(retraining.data.tags["pcdarts.trial_run"])
    assert trial.info.run_id == whole.board[0]["run_id"]
    assert trial.data.tags["pcdarts.retraining_run"] == retraining.info.run_id
    version = client.get_model_version_by_alias(whole.promoted["model"], "champion")
    assert (int(version.version), version.run_id) == (whole.promoted["version"], retraining.info.run_id)


def test_mlflows_pages_show_trials_cells_and_the_champion(whole: Whole) -> None:
    if BROWSER is None:
        pytest.skip("no chromium on this machine")
    uri = default_tracking_uri(whole.home)
    client = MlflowClient(uri, uri)
    best = client.get_run(whole.board[0]["run_id"])
    PICTURES.mkdir(exist_ok=True)
    with serving(uri, whole.home, 0) as (address, _):
        experiment = best.info.experiment_id
        page = _visit(trials_link(address, experiment, "real"), "trials")
        for entry in whole.board:
            assert client.get_run(entry["run_id"]).info.run_name[:10] in page
        run = f"{address}/#/experiments/{experiment}/runs/{best.info.run_id}"
        page = _visit(run, "trial")
        assert "pcdarts-tune promote real" in page, "the run's description says how to go on"
        assert best.info.run_name in page
        page = _visit(f"{run}/artifacts/genotype.json", "genotype")
        assert "genotype.json" in page
        page = _visit(f"{address}/#/models/{whole.promoted['model']}", "model")
        assert "champion" in page


def _visit(address: str, name: str) -> str:
    """What stands on a page once its scripts have run; a picture of it goes to test-artefacts/."""
    arguments = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--window-size=1600,1000", "--virtual-time-budget=20000", f"--user-data-dir={PICTURES / '.profile'}",
    ]  # fmt: skip
    for kind in (f"--screenshot={PICTURES / name}.png", "--dump-dom"):
        done = subprocess.run(
            [*arguments, kind, address], capture_output=True, text=True, check=True, timeout=120
        )
    return done.stdout
