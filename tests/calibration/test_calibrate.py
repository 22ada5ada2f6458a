"""A real calibration on the digits: interrupted, gone on with, and not trained again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from support.calibrating import plan, some_cells, write_cells

from pcdarts_tune.calibration.recipes import read_recipes
from pcdarts_tune.calibration.trial import Training, train_cell
from pcdarts_tune.cli.group import run
from pcdarts_tune.cluster.resources import Share
from pcdarts_tune.home import default_tracking_uri

SETTINGS = ("channels=4", "layers=3", "epochs=2", "batch_size=256")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command: four cells, two seeds, a tiny recipe."""
    folder = tmp_path_factory.mktemp("calibrate")
    cells = write_cells(folder / "cells.csv", some_cells(4))
    command = [
        "calibrate",
        "quickstart",
        "--cells",
        str(cells),
        "--home",
        str(folder / "home"),
        "--seeds",
        "2",
    ]
    return [*command, "--json", *(word for each in SETTINGS for word in ("--set", f"evaluation.{each}"))]


def home_of(words: list[str]) -> Path:
    return Path(words[words.index("--home") + 1])


def results_in(home: Path, name: str = "quickstart-cells") -> dict[str, float]:
    """The trainings that ended, and when."""
    found = (home / "calibrations" / name / "trials").glob("*/result.json")
    return {file.parent.name: file.stat().st_mtime for file in found}


@pytest.fixture(scope="module")
def interrupted(words: list[str]) -> dict[str, float]:
    """The trainings that had ended when Ctrl-C came after the first."""

    def interrupt() -> None:
        while not results_in(home_of(words)) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    end = time.monotonic() + 120
    thread = threading.Thread(target=interrupt)
    thread.start()
    code = run([*words, "--max-concurrent", "1"])
    thread.join()
    assert code == 130
    return results_in(home_of(words))


def test_it_goes_on_where_it_was_interrupted(
    words: list[str], interrupted: dict[str, float], capfd: pytest.CaptureFixture[str]
) -> None:
    assert 1 <= len(interrupted) < 8
    capfd.readouterr()
    assert run(words) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert (found["trainings"], found["left"], found["failed"]) == (8, 0, [])
    ended = results_in(home_of(words))
    assert len(ended) == 8
    assert {key: ended[key] for key in interrupted} == interrupted, "these were not trained again"
    recipe = found["recipes"][0]
    assert recipe["n"] == 4
    assert recipe["cost"]["unit"] == "CPU"
    assert recipe["cost"]["hours_a_cell"] > 0
    assert [each["epoch"] for each in recipe["scores"]["accuracy"]] == [1, 2]
    assert recipe["scores"]["accuracy"][-1]["noise"]["seeds"] == 2
    curves = [curve for cell in recipe["cells"] for curve in cell["curves"]["accuracy"]]
    assert len({tuple(curve) for curve in curves}) > 4, "seeds differ"
    assert len({cell["params"] for cell in recipe["cells"]}) == 4


def test_what_is_known_is_not_trained_again(
    words: list[str], interrupted: dict[str, float], capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert run(words) == 0
    again = json.loads(capfd.readouterr().out)
    begun = time.monotonic()
    assert run([*words, "--name", "other", "--recipe", "now:", "--recipe", "more:evaluation.seeds=2"]) == 0
    assert time.monotonic() - begun < 30
    other = json.loads(capfd.readouterr().out)
    assert results_in(home_of(words), "other") == {}, "taken from the cache of the home"
    assert [each["n"] for each in other["recipes"]] == [4, 4]
    assert other["recipes"][0]["scores"] == again["recipes"][0]["scores"]
    client = mlflow.MlflowClient(default_tracking_uri(home_of(words)))
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    names = [each.info.run_name for each in client.search_runs([experiment.experiment_id])]
    assert sorted(names) == ["other", "other more", "other now", "quickstart-cells"]


def test_mistakes_end_with_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--name", "a/b"]) == 2
    assert "cannot name a calibration" in capsys.readouterr().err
    assert run([*words, "--recipe", "x:data.split=published"]) == 2
    assert "holds nothing out" in capsys.readouterr().err
    assert run([*words, "--truth", "acuracy"]) == 2
    assert "did you mean 'accuracy'" in capsys.readouterr().err


def test_recipes_read_images_of_their_own_size(tmp_path: Path) -> None:
    given = ["now:evaluation.epochs=1", "large:evaluation.epochs=1,data.image_size=16,evaluation.channels=4"]
    recipes = read_recipes("quickstart", ["evaluation.batch_size=256"], given=given)
    calibration = plan(tmp_path, some_cells(2), recipes)
    assert len(calibration.images) == 2
    large = next(item for item in calibration.items if item.recipe.name == "large")
    at = calibration.queue.left.index(large)
    task = calibration.task(calibration.queue.proposal(at), Share(1.0, 0.0, 1))
    outcome = train_cell(task, calibration.images, lambda record: None)
    known = calibration.known(large)
    assert isinstance(known, Training)
    assert (known.params, known.macs) == (outcome.params, outcome.macs)
    assert known.curve[-1]["accuracy"] == outcome.objective
    assert all(name.startswith("evaluation/") for name in known.curve[-1]["metrics"])
    assert train_cell(task, {}, lambda record: None) == outcome, (
        "it has ended: nothing is trained, or needed for it"
    )
