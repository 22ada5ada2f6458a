"""The cells of one's own promotions: what folders of promotions say, and how trials' scores rank it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.recorded import recorded_sweep

from pcdarts_tune.calibration.promoted import promoted_cells, read_full_trainings, short_against_full
from pcdarts_tune.core.genotype import random_genotype, read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.reporting.facts import read_facts
from pcdarts_tune.reporting.report import report_json
from pcdarts_tune.reporting.summary import summarize
from pcdarts_tune.sweeps.sweep import SweepHandle


def leave(folder: Path, genotype: dict[str, Any], accuracy: float | None, **origin: Any) -> None:
    """What a promotion leaves of one training."""
    model = folder / "promotions" / f"{len(list((folder / 'promotions').glob('*')))}" / "model"
    model.mkdir(parents=True)
    result = {"validation_accuracy": accuracy, "test_accuracy": 0.5, "epochs": 3}
    result["held_out_scores"] = {"balanced_accuracy": 0.25}
    told = {"data": {"name": "digits", "digest": "d"}, "result": result, "setting": "long", **origin}
    (model / "model.json").write_text(json.dumps({"network": {"channels": 4}, "origin": told}))
    (model / "genotype.json").write_text(json.dumps(genotype))


@pytest.fixture
def sweep(tmp_path: Path) -> SweepHandle:
    """A sweep whose trials found many genotypes."""
    return recorded_sweep(tmp_path, 20, name="first")


def test_the_mean_over_seeds_of_the_setting_with_most_cells(sweep: SweepHandle, tmp_path: Path) -> None:
    found = list({r.genotype_hash: r.genotype for r in sweep.records() if r.genotype is not None}.values())
    for at, accuracy in enumerate((0.9, 0.8, 0.7)):
        leave(sweep.folder.path, found[at], accuracy)
        leave(sweep.folder.path, found[at], accuracy + 0.02)
    leave(sweep.folder.path, found[3], 0.1, setting="short")
    (sweep.folder.path / "promotions" / "torn" / "model").mkdir(parents=True)
    (sweep.folder.path / "promotions" / "torn" / "model" / "model.json").write_text("{")
    assert len(read_full_trainings(sweep.folder.path)) == 7
    cells = promoted_cells(tmp_path, "digits")
    assert [cell.truth for cell in cells] == pytest.approx([0.91, 0.81, 0.71])
    assert [cell.genotype for cell in cells] == [read_genotype(each) for each in found[:3]]
    with pytest.raises(UserError, match="0 cells in full on cifar10; there are trainings on digits"):
        promoted_cells(tmp_path, "cifar10")


def test_old_records_without_a_setting_and_without_held_out_images(tmp_path: Path) -> None:
    leave(tmp_path, random_genotype(0).to_dict(), None, setting=None)
    leave(tmp_path, random_genotype(1).to_dict(), 0.75, setting=None)
    first, second = read_full_trainings(tmp_path)
    assert (first.accuracy, second.accuracy) == (0.5, 0.75)
    assert first.setting == second.setting
    assert [each.accuracy for each in read_full_trainings(tmp_path, balanced=True)] == [0.25]


def test_scores_of_the_sweep_against_full_training(sweep: SweepHandle) -> None:
    assert short_against_full(sweep) is None
    best: dict[str, Any] = {}
    for record in sweep.records():
        if record.objective is not None and record.genotype is not None:
            best.setdefault(str(record.genotype_hash), record)
    distinct = {record.objective: record for record in best.values()}
    for record in list(distinct.values())[:4]:
        leave(sweep.folder.path, record.genotype, record.objective)
    agreement = short_against_full(sweep)
    assert agreement is not None
    assert agreement.figures.spearman.value == pytest.approx(1)
    assert str(agreement).endswith("Spearman 1.00, n=4: so few cells say nothing")
    for record in list(distinct.values())[4:8]:
        leave(sweep.folder.path, record.genotype, -record.objective)
    agreement = short_against_full(sweep, "long")
    assert agreement is not None
    assert agreement.n == 8
    assert agreement.figures.spearman.value < 0.9
    assert agreement.figures.spearman.interval is not None
    facts = read_facts(sweep)
    paragraph = next(each for each in summarize(facts) if each.title == "Short against full")
    assert "n=8" in paragraph.text
    shown = report_json(facts, Path("x.html"))["agreement"]
    assert shown["n"] == 8
    assert math.isfinite(shown["spearman"]["value"])
    assert short_against_full(sweep, "another") is None


def test_a_home_without_promotions_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 cells in full on digits: nothing") as caught:
        promoted_cells(Where(tmp_path).home, "digits")
    assert "--candidates" in str(caught.value.hint)
