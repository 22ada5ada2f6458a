"""From model to sweep and back, on a real sweep that Ray ran: `show`, `diff`, `reproduce`."""

# ruff: noqa: E501 - inputs are kept on one line
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from PIL import Image

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.doctor.machine import check_ray
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.home import Where, default_tracking_uri
from pcdarts_tune.sweeps.sweep import open_sweep

TINY = {
    "data.test_fraction": 0.7,
    "supernet.channels": 4,
    "supernet.nodes": 2,
    "search.epochs": 2,
    "search.arch_warmup_epochs": 1,
    "evaluation.channels": 4,
    "evaluation.epochs": 2,
    "retrain.channels": 4,
    "retrain.layers": 3,
    "retrain.epochs": 2,
}


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    with ray_running(address=None):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two trials on a thread each, its best promoted; and one of a short trial on two threads."""
    home = tmp_path_factory.mktemp("lineage") / "home"
    changes = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    common = ["--home", str(home), "-q"]
    made = ["sweep", "--space", "quickstart", "--name", "first", "--trials", "2", "--cpus-per-trial", "1"]
    assert cli.run([*made, *changes, *common]) == 0
    # two threads on cores that others use too are slow: as few steps as can be
    short = {"data.test_fraction": 0.9, "data.held_out": 0.5, "search.batch_size": 128, "evaluation.batch_size": 128, "search.epochs": 1,
             "search.arch_warmup_epochs": 0, "evaluation.epochs": 1}  # fmt: skip
    shortened = {**TINY, **short}
    changes2 = [part for key, value in shortened.items() for part in ("--set", f"{key}={value}")]
    wide = ["sweep", "--space", "quickstart", "--name", "wide", "--trials", "1", "--threads", "2"]
    assert cli.run([*wide, *changes2, *common]) == 0
    assert cli.run(["promote", "first", "--device", "cpu", *common]) == 0
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))


def printed(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> Any:
    """What a command prints with --json."""
    capsys.readouterr()
    code = cli.run([*arguments, "--json", "--home", str(home)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_a_sweep_keeps_the_threads_that_it_was_given(home: Path) -> None:
    notes = [open_sweep(Where(home), name).study.notes() for name in ("first", "wide")]
    assert [(note["cpus_per_trial"], note.get("threads_per_trial")) for note in notes] == [(1, None), (2, 2)]


def kinds(links: list[dict[str, Any]]) -> list[str]:
    return [link["kind"] for link in links]


def test_a_model_leads_back_to_its_sweep(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = printed(capsys, home, "show", "first")
    assert (model["kind"], model["reference"], model["state"]) == ("model", "first/1", "champion")
    assert kinds(model["came_from"]) == ["retraining", "trial", "sweep"]
    assert model["about"]["why"] == "it is the first champion"
    for name in ("first@champion", "first/1", "models:/first/1"):
        assert printed(capsys, home, "show", name) == model
    retraining, trial, sweep = (link["run_id"] for link in model["came_from"])
    assert printed(capsys, home, "show", retraining[:10])["run_id"] == retraining
    found = printed(capsys, home, "show", trial)
    assert (found["kind"], found["genotype_hash"]) == ("trial", model["genotype_hash"])
    assert printed(capsys, home, "show", sweep)["kind"] == "sweep"


def test_a_trial_leads_on_to_what_became_of_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = printed(capsys, home, "leaderboard", "first")[0]
    trial = printed(capsys, home, "show", f"first:{best['trial']}")
    assert trial["results"]["objective"] == best["objective"]
    assert trial["hyperparameters"] == best["hyperparameters"]
    assert trial["settings"]["supernet.k"] == best["hyperparameters"]["supernet.k"]
    assert {"retraining", "model"} <= set(kinds(trial["became"]))
    assert kinds(trial["came_from"]) == ["sweep"]
    assert f"pcdarts-tune promote first --trial {best['trial']}" in trial["next"]
    sweep = printed(capsys, home, "show", "sweep:first")
    assert kinds(sweep["became"])[:1] == ["trial"]
    assert {"retraining", "model"} <= set(kinds(sweep["became"]))
    assert sweep["state"] == "2 complete of 2"


def test_a_run_is_shown_where_its_sweep_is_not(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = printed(capsys, home, "show", "first:0")
    there = printed(capsys, tmp_path, "show", here["run_id"], "--tracking-uri", default_tracking_uri(home))
    for key in ("kind", "name", "hyperparameters", "genotype", "settings", "run_id"):
        assert there[key] == here[key], key
    assert there["results"]["objective"] == here["results"]["objective"]
    assert kinds(there["came_from"]) == ["sweep"]


def test_show_says_it_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.run(["show", "first", "--home", str(home)]) == 0
    captured = capsys.readouterr()
    for said in (
        "first version 1 (champion)",
        "came from:",
        "trial first:",
        "reduce node 1 = ",
        "pcdarts-tune rollback",
    ):
        assert said in captured.out
    assert "pcdarts-tune show sweep:first" in captured.err
    assert cli.run(["show", "PC_DARTS_cifar", "--home", str(home)]) == 0
    assert "normal node 0 = skip_connect(c_{k-2}) + sep_conv_3x3(c_{k-1})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("frist", "did you mean 'first'?"),
        ("first:9", "no trial 9"),
        ("first/9", "no version 9"),
        ("first@best", "no alias 'best'"),
        ("secnd:1", "no sweep named 'secnd'"),
        ("0123456789", "names no run, sweep or model"),
    ],
)
def test_what_is_not_there_is_said(
    home: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["show", name, "--home", str(home)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Hint: " in captured.err
    assert captured.out == ""


def test_nothing_is_made_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["show", "first"],
        ["diff", "first", "second"],
        ["reproduce", "first:1"],
        ["rollback", "first"],
    ):
        assert cli.run([*command, "--home", str(tmp_path / "home")]) == 2
    assert not (tmp_path / "home").exists()
    assert "nothing is recorded" in capsys.readouterr().err


def test_two_trials_side_by_side(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = printed(capsys, home, "show", "first:0"), printed(capsys, home, "show", "first:1")
    found = printed(capsys, home, "diff", "first:0", "first:1", "-o", str(tmp_path / "cells.svg"))
    changed = {key for key in a["hyperparameters"] if a["hyperparameters"][key] != b["hyperparameters"][key]}
    assert set(found["settings"]) == changed
    assert found["results"]["objective"] == [a["results"]["objective"], b["results"]["objective"]]
    assert bool(found["genotype"]) == (a["genotype_hash"] != b["genotype_hash"])
    assert found["about"]["seed"] == [a["about"]["seed"], b["about"]["seed"]]
    assert "only in first:0" in (tmp_path / "cells.svg").read_text()

    capsys.readouterr()
    output = ["-o", str(tmp_path / "cells.png"), "--home", str(home)]
    assert cli.run(["diff", "first:0", "PC_DARTS_cifar", *output]) == 0
    captured = capsys.readouterr()
    assert "cells that differ" in captured.out
    assert Image.open(tmp_path / "cells.png").width > 500
    assert cli.run(["diff", "first:0", "first:0", "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "the genotypes are equal" in said
    assert "settings that differ" not in said
    assert cli.run(["diff", "first:0", "first:1", "-o", "cells.gif", "--home", str(home)]) == 2
    assert "must end in .svg or .png" in capsys.readouterr().err


def test_retraining_and_trial_have_only_the_data_in_common(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, home, "diff", "first:0", "first@champion")
    assert found["settings"] == {}


@pytest.mark.parametrize(("name", "threads", "epochs"), [("first:0", "1", 2), ("wide:0", "2", 1)])
def test_a_trial_that_ray_ran_comes_out_the_same_bit_for_bit(
    home: Path,
    client: mlflow.MlflowClient,
    name: str,
    threads: str,
    epochs: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = printed(capsys, home, "show", name)
    assert original["about"]["threads"] == threads
    done = printed(capsys, home, "reproduce", name)
    assert done["equal"], done["verdict"]
    assert done["epochs"] == 2 * epochs, "of the search and of the evaluation"
    assert done["numbers"] > 8 * epochs
    assert done["genotype_equal"]
    assert done["held_out"] == [original["results"]["objective"]] * 2
    assert done["warnings"] == []
    run = client.get_run(done["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["pcdarts.reproduces"] == original["run_id"]
    assert run.data.tags["pcdarts.reproduced"] == "equal"
    assert run.data.tags["pcdarts.kind"] == "reproduction"
    assert "equal bit for bit" in run.data.tags["mlflow.note.content"]
    assert not list((home / "reproductions").iterdir())
    became = printed(capsys, home, "show", name)["became"]
    assert done["run_id"] in [link["run_id"] for link in became]
    again = printed(capsys, home, "reproduce", name)
    assert again["run_id"] != done["run_id"], "each is a run of its own"


def test_a_retraining_comes_out_the_same_down_to_its_weights(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    done = printed(capsys, home, "reproduce", "first@champion", "--device", "cpu")
    assert done["equal"], done["verdict"]
    assert (done["kind"], done["weights_equal"]) == ("retraining", True)
    assert "test/acc" not in client.get_run(done["run_id"]).data.metrics
    assert len(client.search_model_versions("name='first'")) == 1


def test_a_tracked_search_comes_out_the_same(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    searched = printed(
        capsys, home, "search", "--space", "quickstart", "--track", "--device", "cpu", "--seed", "5", *changes
    )
    shown = printed(capsys, home, "show", searched["run_id"])
    assert (shown["kind"], shown["about"]["seed"]) == ("search", "5")
    assert shown["genotype"] == searched["genotype"]
    done = printed(capsys, home, "reproduce", searched["run_id"][:8])
    assert done["equal"], done["verdict"]
    assert done["epochs"] == 2


def test_what_differs_is_said_before_and_after(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record of a trial is changed: other threads, another version, a loss that was never so."""
    original = printed(capsys, home, "show", "first:1")["run_id"]
    client.set_tag(original, "pcdarts.version.torch", "1.0")
    client.log_metric(original, "search/loss_train", 99.0, step=7)
    done = printed(capsys, home, "reproduce", "first:1")
    assert not done["equal"]
    assert any(warning.startswith("torch is ") and "it was 1.0" in warning for warning in done["warnings"])
    assert done["missing"] == ["search/loss_train"]
    assert "differs" in done["verdict"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("sweep:first", "reproduce first:0"), ("PC_DARTS_cifar", "name a trial"), ("first:9", "no trial 9")],
)
def test_what_cannot_be_reproduced_is_refused(
    home: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["reproduce", name, "--home", str(home)]) == 2
    assert said in capsys.readouterr().err


def test_other_images_are_refused(
    home: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    original = printed(capsys, home, "show", "wide:0")["run_id"]
    client.set_tag(original, "pcdarts.data", "0123abcd")
    assert cli.run(["reproduce", "wide:0", "--home", str(home)]) == 2
    captured = capsys.readouterr()
    assert "it had 0123abcd" in captured.err
    assert "--force" in captured.err


def test_an_interrupted_reproduction_goes_on(
    home: Path,
    client: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pcdarts_tune import say as progress

    update = progress.Progress.update

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "update", interrupt)
    assert cli.run(["reproduce", "first:0", "--home", str(home)]) == 130
    monkeypatch.undo()
    assert "to go on where it stopped: pcdarts-tune reproduce first:0" in capsys.readouterr().err
    (killed,) = client.search_runs(["1"], "attributes.status = 'KILLED'")
    done = printed(capsys, home, "reproduce", "first:0")
    assert done["run_id"] == killed.info.run_id
    assert done["equal"], done["verdict"]


def test_doctor_runs_a_task_on_ray() -> None:
    (check,) = [check for check in check_ray(address=None, start=True) if check.name == "ray"]
    assert check.status == "ok", check
    assert "a task ran here" in check.finding


def test_a_genotype_file_is_named_too(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    write_json(file, PUBLISHED["DARTS_V2"].to_dict())
    assert printed(capsys, home, "show", str(file))["genotype"] == read_json(file)
    found = printed(capsys, home, "diff", str(file), "DARTS_V2")
    assert (found["genotype"], found["settings"], found["results"]) == ({}, {}, {})
