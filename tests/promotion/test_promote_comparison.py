"""`promote` with candidates, seeds and baselines, really trained for an epoch or two on the digits; and `rollback`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from support.made_sweeps import FOUND, SMALL, make_sweep

from pcdarts_tune import say as progress
from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.tracking.scope import pointed_at

TINY = (
    *(s for s in SMALL if "epochs" not in s),
    "data.test_fraction=0.7",
    "retrain.epochs=1",
    "search.epochs=2",
    "search.arch_warmup_epochs=1",
    "supernet.channels=4",
)
COMPARED = ("--candidates", "2", "--seeds", "2", "--baseline", "default", "--baseline", "random:1")


def run(home: Path, *arguments: str) -> int:
    return cli.run([*arguments, "--home", str(home), "--device", "cpu"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "home"
    make_sweep(folder, "first", FOUND, TINY)
    return folder


@pytest.fixture(scope="module")
def client(home: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))


def runs(client: mlflow.MlflowClient, kind: str) -> list[Any]:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`pcdarts.kind` = '{kind}'"))


def test_candidates_seeds_and_baselines_are_compared_and_one_model_is_tested(
    home: Path,
    client: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update, trained = progress.Progress.update, 0

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        nonlocal trained
        update(self, done, note)
        trained += 1
        if trained == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "update", interrupt)
    assert run(home, "promote", "first", *COMPARED, "--json") == 130
    assert "to go on where it stopped" in capsys.readouterr().err
    monkeypatch.undo()
    (promotion,) = runs(client, "promotion")
    assert promotion.info.status == "KILLED"
    assert not any("test/acc" in each.data.metrics for each in runs(client, "retraining"))

    assert run(home, "promote", "first", *COMPARED, "--json") == 0
    captured = capsys.readouterr()
    promoted = json.loads(captured.out)
    # trial 0 ran with the space's own values: its genotype is the default one, and trained once
    assert captured.err.count("retraining: done before") == 3
    assert captured.err.count("goes on after epoch 1 of 1") == 1
    assert captured.err.count("retraining: 1/1") == 2
    assert {name: len(each["runs"]) for name, each in by_name(promoted).items()} == {
        "trial 1": 2, "trial 0": 2, "default": 2, "random 0": 2,
    }  # fmt: skip

    trainings = runs(client, "retraining")
    assert len(trainings) == 6
    assert {each.data.tags["mlflow.parentRunId"] for each in trainings} == {promotion.info.run_id}
    assert promoted["promotion_run"] == promotion.info.run_id
    tested = [each for each in trainings if "test/acc" in each.data.metrics]
    assert [each.info.run_id for each in tested] == [promoted["run_id"]], (
        "the test split is read for one model"
    )
    assert all(each.info.status == "FINISHED" for each in trainings)

    # the choice: highest mean of the candidates, and of its seeds the highest
    compared = by_name(promoted)
    best = max(("trial 1", "trial 0"), key=lambda name: compared[name]["held_out"]["mean"])
    assert f"trial {promoted['trial']}" == best
    chosen = max(compared[best]["runs"], key=lambda each: each["held_out"])
    assert (promoted["run_id"], promoted["seed"]) == (chosen["run_id"], chosen["seed"])
    assert chosen["held_out"] == promoted["validation_accuracy"]
    for each in compared.values():
        values = each["held_out"]["values"]
        assert each["held_out"]["n"] == 2
        assert each["held_out"]["mean"] == pytest.approx(sum(values) / 2)
        assert each["held_out"]["interval"][0] <= each["held_out"]["mean"] <= each["held_out"]["interval"][1]
    assert len(promoted["verdicts"]) == 3
    assert any("random 0" in verdict for verdict in promoted["verdicts"])
    # both candidates were scored in the sweep and trained in full
    assert promoted["agreement"]["n"] == 2
    assert "n=2: so few cells say nothing" in promoted["agreement"]["verdict"]

    promotion = client.get_run(promotion.info.run_id)
    assert promotion.info.status == "FINISHED"
    assert promotion.data.metrics["test/acc"] == promoted["test_accuracy"]
    assert promotion.data.metrics["agreement/n"] == 2
    assert "so few cells say nothing" in promotion.data.tags["mlflow.note.content"]
    assert promotion.data.tags["pcdarts.model"] == "first/1"
    assert "| random 0" in promotion.data.tags["mlflow.note.content"]
    version = client.get_model_version_by_alias("first", "champion")
    assert version.run_id == promoted["run_id"]
    assert version.tags["pcdarts.promotion_run"] == promotion.info.run_id
    assert float(version.tags["pcdarts.validation_mean"]) == compared[best]["held_out"]["mean"]


def by_name(promoted: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in promoted["comparison"]}


def test_the_comparison_is_a_table_that_mlflow_reads(home: Path, client: mlflow.MlflowClient) -> None:
    (promotion,) = runs(client, "promotion")
    with pointed_at(default_tracking_uri(home)):
        table = client.load_table(promotion.info.experiment_id, "comparison.json", [promotion.info.run_id])
    assert sorted(table["genotype"]) == ["default", "random 0", "trial 0", "trial 1"]
    assert list(table["held-out mean"]) == sorted(table["held-out mean"], reverse=True)
    assert set(table["n"]) == {2}


def test_a_finished_comparison_trains_nothing_again_and_can_test_the_rest(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "promote", "first", *COMPARED) == 0
    captured = capsys.readouterr()
    assert "retraining: 1/1" not in captured.err
    assert "held-out mean" in captured.out
    assert "chosen on held-out images: trial" in captured.out
    assert "first version 1, champion: test accuracy" in captured.out
    assert run(home, "promote", "first", *COMPARED, "--test-all", "--json") == 0
    promoted = json.loads(capsys.readouterr().out)
    others = {
        f"trial {1 - promoted['trial']}"
    }  # the candidate that was not chosen, unless it is the default too
    for name, each in by_name(promoted).items():
        if name not in others:
            assert each["test"]["n"] == 2, name
    assert promoted["version"] == 1
    assert len(runs(client, "retraining")) == 6


def test_one_training_of_a_comparison_serves_a_plain_promotion(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "promote", "first", "--trial", "1", "--model", "plain", "--json") == 0
    captured = capsys.readouterr()
    assert "done before" in captured.err
    promoted = json.loads(captured.out)
    assert (promoted["model"], promoted["version"], promoted["champion"]) == ("plain", 1, True)
    assert promoted["promotion_run"] is None
    assert len(runs(client, "retraining")) == 6


def test_rollback_gives_the_alias_back(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["rollback", "plain", "--home", str(home)]) == 2
    captured = capsys.readouterr()
    assert "was champion before version 1" in captured.err
    assert "--to VERSION; versions: 1" in captured.err
    assert run(home, "promote", "first", "--trial", "0", "--model", "plain", "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2
    assert cli.run(["rollback", "plain", "--home", str(home), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["model"], answer["version"], answer["before"]) == ("plain", 1, 2)
    assert int(client.get_model_version_by_alias("plain", "champion").version) == 1
    assert [(each["version"], each["back"]) for each in answer["history"]] == [
        (1, False),
        (2, False),
        (1, True),
    ]
    assert cli.run(["rollback", "plain", "--to", "2", "--home", str(home)]) == 0
    assert "plain version 2 is champion again, in place of version 1" in capsys.readouterr().out
    assert cli.run(["rollback", "palin", "--home", str(home)]) == 2
    assert "did you mean 'plain'?" in capsys.readouterr().err


def test_the_default_genotype_is_searched_where_no_trial_had_the_default_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    sweep = make_sweep(home, "second", [FOUND[2], FOUND[1]], TINY)
    assert sweep.record(0).state == "failed"
    update = progress.Progress.update

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "update", interrupt)
    arguments = ("promote", "second", "--baseline", "default", "--json")
    assert run(home, *arguments) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert run(home, *arguments) == 0
    captured = capsys.readouterr()
    assert "search: goes on after epoch 1 of 2" in captured.err
    promoted = json.loads(captured.out)
    default = by_name(promoted)["default"]
    assert default["trial"] is None
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    (searched,) = runs(client, "search")
    assert searched.info.status == "FINISHED"
    assert searched.data.tags["mlflow.parentRunId"] == promoted["promotion_run"]
    assert searched.data.tags["pcdarts.genotype_hash"] == default["genotype_hash"]
    assert [p.step for p in client.get_metric_history(searched.info.run_id, "search/loss_train")] == [0, 1]
    found = mlflow.artifacts.load_dict(f"{searched.info.artifact_uri}/genotype.json")
    assert Genotype.from_dict(found).canonical_hash() == default["genotype_hash"]
    assert "cannot tell trial 1 from default with n=1" in promoted["verdicts"][0]
    assert run(home, *arguments) == 0
    assert "search: " not in capsys.readouterr().err


def test_candidates_that_all_diverge_are_no_promotion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    make_sweep(home, "wild", FOUND, TINY)
    # weights times -9 a step
    changes = (
        "--set",
        "retrain.learning_rate=10",
        "--set",
        "retrain.weight_decay=1",
        "--set",
        "retrain.epochs=8",
    )
    assert run(home, "promote", "wild", "--candidates", "2", *changes) == 1
    captured = capsys.readouterr()
    assert "trial 1, seed 0 diverged" in captured.err
    assert "trial 0, seed 0 diverged" in captured.err
    assert "every candidate's training diverged" in captured.err
    assert captured.out == ""
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    assert [each.info.status for each in runs(client, "promotion")] == ["FAILED"]
    assert {each.info.status for each in runs(client, "retraining")} == {"FAILED"}
    assert not client.search_registered_models()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--candidates", "2", "--trial", "1"], "--candidates takes the sweep's best"),
        (["--candidates", "0"], "--candidates"),
        (["--baseline", "defualt"], "did you mean 'default'?"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    home: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "promote", "first", *arguments) == 2
    assert said in capsys.readouterr().err
