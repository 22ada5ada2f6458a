"""What a calibration shows, of trainings that are made up: nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from support.calibrating import made_up, some_cells, write_cells

from pcdarts_tune.calibration.cells import Cell
from pcdarts_tune.calibration.result import SCORES, describe, summarize
from pcdarts_tune.calibration.track import track_calibration
from pcdarts_tune.calibration.work import Calibration, Item
from pcdarts_tune.cli.group import run
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.reporting.calibration import write_calibration
from pcdarts_tune.sweeps.trials.log import write_failure
from pcdarts_tune.tasks import Outcome

CELLS = some_cells(12)
RANDOM = np.random.default_rng(3)
NOISE = {(cell.name, seed): float(RANDOM.normal()) for cell in CELLS for seed in range(4)}
EPOCHS = "evaluation.epochs=2"
RECIPES = [
    f"exact:{EPOCHS}",
    f"wide:{EPOCHS},evaluation.channels=20",
    f"rough:{EPOCHS},evaluation.channels=4",
    f"twice:{EPOCHS},evaluation.seeds=2",
]


def curve(item: Item) -> Sequence[float]:
    """The order is found out with the epochs, but for `rough`, which is noise."""
    if item.recipe.name == "rough":
        return [0.5, 0.5 + 0.01 * NOISE[item.cell.name, 2 + item.seed]]
    noise = 0.0004 * NOISE[item.cell.name, item.seed] if item.recipe.name == "twice" else 0.0
    return [0.5, 0.4 + 0.001 * item.cell.truth + noise]


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """Four recipes; of `rough` the training of one cell failed."""
    made = made_up(tmp_path_factory.mktemp("home"), CELLS, RECIPES, curve, seeds=2)
    lost = next(item for item in made.items if item.recipe.name == "rough" and item.cell.name == "c3")
    write_failure(made.address(lost), Outcome("failed", reason="the loss became nan"))
    return made


def test_figures_of_every_epoch(calibration: Calibration) -> None:
    result = summarize(calibration)
    exact, wide, rough, twice = result.recipes
    first, last = exact.scores["accuracy"]
    assert (first.epoch, last.epoch) == (1, 2)
    assert np.isnan(first.spearman.value), "all are equal after the first epoch"
    assert last.spearman.value == pytest.approx(1)
    assert last.better_of_two.value == pytest.approx(1)
    assert last.regret[8].value == 0
    assert last.chance[8] > 0.1
    assert last.noise is not None
    assert last.noise.share == 0
    missing = {"balanced_accuracy"}  # as in curves of older versions, which say nothing of classes
    assert set(exact.scores) == set(SCORES) - missing
    assert exact.scores["loss"][-1].spearman.value == pytest.approx(1), "its sign is turned"
    assert abs(rough.last.spearman.value) < 0.8
    assert rough.last.noise is not None
    assert rough.last.noise.share > 0.5
    assert wide.hours == pytest.approx(0.2)
    assert twice.hours == pytest.approx(2 * exact.hours), "a score of two seeds costs two"
    assert twice.last.all_seeds is None, "the score is the mean of both"
    assert exact.last.all_seeds is not None


def test_a_failed_training_leaves_its_cell_out(calibration: Calibration) -> None:
    result = summarize(calibration)
    rough = result.recipes[2]
    assert len(rough.cells) == 11
    assert [(item.cell.name, reason) for item, reason in result.failed] == [("c3", "the loss became nan")]
    assert result.comparison is not None
    assert result.comparison.n == 11, "recipes are compared on the same cells"


def test_the_cheapest_that_is_not_shown_to_be_worse(calibration: Calibration) -> None:
    comparison = summarize(calibration).comparison
    assert comparison is not None
    assert comparison.best in ("exact", "wide")
    assert comparison.recommended == "exact", "rough is cheaper and worse, wide as good and dearer"
    assert comparison.behind["rough"].interval is not None
    assert comparison.behind["rough"].interval[0] > 0
    assert comparison.behind["exact"].value == pytest.approx(0)


def test_what_is_left_is_known_and_the_rest_ranked(tmp_path: Path) -> None:
    made = made_up(tmp_path, CELLS, [], lambda item: curve(item) if item.cell.name < "c3" else ())
    result = summarize(made)
    assert result.left == len(made.queue.left) > 0
    assert len(result.recipes[0].cells) == 12 - result.left
    none = summarize(made_up(tmp_path, CELLS, [], lambda item: (), name="none", seeds=2))
    assert none.recipes == [] or len(none.recipes[0].cells) < 12


def test_cells_of_another_family_are_refused(tmp_path: Path) -> None:
    other = [Cell(f"n{at}", random_genotype(at, family="nasbench201"), at) for at in range(2)]
    with pytest.raises(UserError, match="nasbench201|NAS-Bench-201"):
        made_up(tmp_path, other, [], curve)


def test_three_cells_say_nothing(tmp_path: Path) -> None:
    made = made_up(tmp_path, CELLS[:3], [], lambda item: [0.1, 0.01 * item.cell.truth])
    assert "n=3: so few cells say nothing" in describe(summarize(made).recipes[0])
    several = made_up(tmp_path, CELLS[:3], RECIPES[:2], curve, name="several")
    assert str(summarize(several).comparison).endswith("n=3 says nothing of which recipe ranks better")


def test_mlflow_has_every_epoch_once(calibration: Calibration) -> None:
    result = summarize(calibration)
    parent = track_calibration(result)
    assert track_calibration(result) == parent, "found again"
    assert track_calibration(replace(result, failed=())) != parent, "the training that failed was tried again"
    client = mlflow.MlflowClient(default_tracking_uri(calibration.where.home))
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"made", "made exact", "made wide", "made rough", "made twice"}
    wide = runs["made wide"]
    assert wide.data.params == {"evaluation.channels": "20", "evaluation.epochs": "2"}
    assert wide.data.tags["mlflow.parentRunId"] == parent
    assert wide.data.metrics["spearman"] == pytest.approx(1)
    history = client.get_metric_history(wide.info.run_id, "hours_a_cell")
    assert [(each.step, each.value) for each in history] == [(1, pytest.approx(0.1)), (2, pytest.approx(0.2))]
    assert {"loss/spearman", "params/kendall", "noise", "regret_of_8"} <= set(wide.data.metrics)
    assert {each.path for each in client.list_artifacts(parent)} >= {"calibration.json", "figures.json"}
    assert "cheapest" in runs["made"].data.tags["mlflow.note.content"]


def test_the_page_has_all_plots(calibration: Calibration, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_calibration(summarize(calibration), page)
    text = page.read_text(encoding="utf-8")
    for name in ("correlation", "over-epochs", "over-hours", "cells-0", "cells-3"):
        assert f'data-plot="{name}"' in text
    assert "the loss became nan" in text
    assert "http://" not in text.replace("http://www.w3.org", "").partition("<script>/**")[0]


def test_the_command_prints_known_figures_and_trains_nothing(
    calibration: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_cells(tmp_path / "cells.csv", CELLS)
    words = [
        "calibrate",
        "quickstart",
        "--cells",
        str(file),
        "--home",
        str(calibration.where.home),
        "--name",
        "made",
    ]
    words += ["--seeds", "2", *(word for each in RECIPES for word in ("--recipe", each))]
    assert run([*words, "-o", str(tmp_path / "page.html")]) == 0
    out, err = capsys.readouterr()
    assert "cheapest that is not shown to rank worse: exact (n=11)" in out
    assert "cell c3, recipe rough" in err
    assert (tmp_path / "page.html").is_file()
    assert run([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["cells"], found["trainings"], found["left"]) == (12, 96, 0)
    assert found["comparison"]["recommended"] == "exact"
    exact = found["recipes"][0]
    assert exact["scores"]["accuracy"][0]["spearman"] == {"value": None, "interval": None}
    hours = [each["hours_a_cell"] for each in exact["scores"]["accuracy"]]
    assert hours == pytest.approx([exact["cost"]["hours_a_cell"] / 2, exact["cost"]["hours_a_cell"]])
    assert len(exact["cells"]) == 12
    assert exact["cells"][0]["curves"]["accuracy"][0][0] == 0.5
    assert json.dumps(found, allow_nan=False)
