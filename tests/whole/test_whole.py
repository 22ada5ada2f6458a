"""The whole job on real images: CIFAR-10 through `sweep`, `promote` and `predict`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.home import default_tracking_uri

if TYPE_CHECKING:
    from conftest import Whole


def test_real_images_go_through_sweep_promote_and_predict(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    if whole.images is None:
        pytest.skip("PCDARTS_TUNE_TEST_DATA names no folder with cifar10-train.parquet")
    assert [entry["state"] for entry in whole.board] == ["complete"] * 3
    objectives = [entry["objective"] for entry in whole.board]
    assert objectives == sorted(objectives, reverse=True)
    assert set(whole.board[0]) >= {
        "trial", "state", "objective", "genotype", "genotype_hash", "params", "macs", "hyperparameters", "run_id",
        "reason",
    }  # fmt: skip
    assert set(whole.promoted) >= {"model", "version", "test_accuracy", "run_id"}
    image = whole.home / "frog.png"
    row = pq.read_table(whole.images / "test.parquet").slice(3, 1).to_pylist()[0]
    image.write_bytes(row["image"]["bytes"])
    arguments = ["predict", "real@champion", str(image), "--json", "--home", str(whole.home)]
    assert command_line(arguments) == 0
    prediction = json.loads(capsys.readouterr().out)
    names = pq.read_schema(whole.images / "test.parquet").metadata[b"class_names"].decode().split(",")
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
