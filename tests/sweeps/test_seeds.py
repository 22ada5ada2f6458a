"""`retrain --seeds` and `--baseline`: several trainings on the digits, their mean and spread, and who can be told apart."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import mlflow
import pytest

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.models.model import load_model

CHANGES = ("retrain.channels=4", "retrain.layers=3", "retrain.epochs=1", "data.test_fraction=0.7")
RETRAIN = ["retrain", "PC_DARTS_cifar", "--space", "quickstart", "--device", "cpu", "--seed", "3"]
RETRAIN += [word for change in CHANGES for word in ("--set", change)]


def run(home: Path, output: Path, *options: str) -> int:
    return cli.run([*RETRAIN, "-o", str(output), "--home", str(home), *options])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_seeds_and_baselines_side_by_side(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baselines = ("DARTS_V2", "PC_DARTS_cifar")  # the last is itself
    options = ("--seeds", "2", *(word for each in baselines for word in ("--baseline", each)))
    assert run(home, tmp_path / "all", *options, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["seeds"] == [3, 4]
    assert found["genotype_hash"] == PUBLISHED["PC_DARTS_cifar"].canonical_hash()
    for measure, key in (("test", "test_accuracy"), ("held_out", "validation_accuracy")):
        values = [each[key] for each in found["runs"]]
        assert found[measure]["n"] == 2
        assert found[measure]["mean"] == pytest.approx(statistics.mean(values))
        assert found[measure]["std"] == pytest.approx(statistics.stdev(values))
    assert [each["name"] for each in found["comparison"]] == ["PC_DARTS_cifar", "DARTS_V2"]
    assert all(each["test"]["n"] == each["held_out"]["n"] == 2 for each in found["comparison"])
    (verdict,) = found["verdicts"]
    assert "DARTS_V2 with n=2" in verdict
    models = {"seed-3", "seed-4", "DARTS_V2/seed-3", "DARTS_V2/seed-4"}
    assert models == {str(path.parent.relative_to(tmp_path / "all")) for path in tmp_path.rglob("model.json")}
    for each in found["runs"]:
        assert load_model(Path(each["folder"])).genotype == PUBLISHED["PC_DARTS_cifar"]
    kept = json.loads((tmp_path / "all" / "comparison.json").read_text())
    assert kept["comparison"] == found["comparison"]
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    runs = [client.get_run(run["run_id"]) for each in found["comparison"] for run in each["runs"]]
    assert len({run.info.run_id for run in runs}) == 4
    assert [run.data.tags.get("pcdarts.baseline") for run in runs[::2]] == [None, "DARTS_V2"]

    # again: nothing is trained, and people read it
    assert run(home, tmp_path / "all", *options) == 0
    captured = capsys.readouterr()
    assert "retraining: 1/1" not in captured.err
    mean = f"{found['test']['mean']:.4f} (std {found['test']['std']:.4f}, 95 % interval"
    assert captured.out.splitlines()[-1].startswith(f"test accuracy {mean}")
    assert re.search(r"\*\s+PC_DARTS_cifar", captured.out)

    # one model and a folder of models do not mix
    assert run(home, tmp_path / "all" / "seed-3", "--seeds", "2") == 2
    assert "holds one model" in capsys.readouterr().err
    assert run(home, tmp_path / "all", "--no-track") == 2


def test_two_files_of_one_name_are_two_genotypes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in (("a", "PC_DARTS_cifar"), ("b", "DARTS_V2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "best.json").write_text(json.dumps(PUBLISHED[name].to_dict()))
    monkeypatch.chdir(tmp_path / "b")
    words = [word if word != "PC_DARTS_cifar" else str(tmp_path / "a" / "best.json") for word in RETRAIN]
    words += ["-o", str(tmp_path / "all"), "--home", str(tmp_path / "home"), "--no-track", "--json"]
    assert cli.run([*words, "--baseline", "best.json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["comparison"]] == ["best.json", "best.json (baseline)"]
    assert found["comparison"][1]["genotype_hash"] == PUBLISHED["DARTS_V2"].canonical_hash()


def test_where_nothing_is_held_out_the_test_split_tells(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("""
name: plain
data: {dataset: digits, split: published}
supernet: {channels: 4, layers: 3}
search: {epochs: 1, arch_warmup_epochs: 0}
retrain: {batch_size: 64}
""")
    options = (
        "--space",
        str(space),
        "--baseline",
        "default",
        "--baseline",
        "random:1",
        "--no-track",
        "--json",
        "-q",
    )
    assert run(home, tmp_path / "all", *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["held_out"] is None
    assert found["test"]["std"] is None
    for name, verdict in zip(("default", "random 0"), found["verdicts"], strict=True):
        assert verdict.startswith(f"cannot tell PC_DARTS_cifar from {name} with n=1: test accuracies")
    assert (tmp_path / "all" / "random-0" / "seed-3" / "model.json").is_file()


def test_a_baseline_that_is_nothing_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, said in (("random:0", "random:N"), ("DARTS_V3", "did you mean 'DARTS_V2'")):
        assert run(home, tmp_path / "none", "--baseline", wrong) == 2
        assert said in capsys.readouterr().err
