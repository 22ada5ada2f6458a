"""A sweep whose trials lie within the noise says so, everywhere; one whose trials are clearly apart does not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support.made_sweeps import SMALL, make_sweep
from support.trial_tasks import task

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.reporting.report import report_json, write_report
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.leaderboard import rank_trials
from pcdarts_tune.sweeps.noise import candidate_options, chi_square_p, read_noise
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.tasks import Outcome, TrialRecord

IMAGES = 216


def outcome(accuracy: float, seed: int) -> Outcome:
    """A trial that scored 216 images, as an evaluation would have written it."""
    genotype = random_genotype(seed)
    held_out = {"images": IMAGES, "classes": 10, "majority": 0.1, "seeds": 1, "accuracy": accuracy}
    return Outcome(
        "complete", accuracy, genotype=genotype.to_dict(), genotype_hash=genotype.canonical_hash(), params=1,
        macs=1, standard_error=math.sqrt(accuracy * (1 - accuracy) / IMAGES), held_out=held_out,
    )  # fmt: skip


def trials(*right: int, images: int = IMAGES) -> list[TrialRecord]:
    return [
        TrialRecord(
            number, "complete", count / images, genotype_hash=str(number), held_out={"images": images},
            standard_error=math.sqrt(count / images * (1 - count / images) / images),
        )
        for number, count in enumerate(right)
    ]  # fmt: skip


def test_the_rule_is_pearson_s_test_of_a_table_of_right_and_wrong_answers() -> None:
    for right in ((214, 213, 214, 213), (200, 190, 180), (150, 170)):
        noise = read_noise(trials(*right), "accuracy")
        assert noise is not None and noise.images == IMAGES and noise.genotypes == len(right)
        table = [right, [IMAGES - count for count in right]]
        pearson = stats.chi2_contingency(table, correction=False)
        assert noise.p == pytest.approx(pearson.pvalue, rel=0.1)
        assert noise.spread == pytest.approx(np.std([count / IMAGES for count in right], ddof=1))
        assert noise.within == (pearson.pvalue >= 0.05)
    assert chi_square_p(0.02, 0.01, 4) == pytest.approx(stats.chi2.sf(3 * 4, 3))


def test_equal_genotypes_are_called_different_in_one_sweep_of_twenty() -> None:
    draw = np.random.default_rng(0)
    rejected = []
    for _ in range(2000):
        noise = read_noise(trials(*draw.binomial(500, 0.8, size=8), images=500), "accuracy")
        assert noise is not None
        rejected.append(not noise.within)
    assert 0.035 < np.mean(rejected) < 0.065


def test_what_cannot_be_tested_is_not_claimed() -> None:
    assert read_noise([], "accuracy") is None
    same = [TrialRecord(n, "complete", 0.9, genotype_hash="a", standard_error=0.01) for n in range(3)]
    assert read_noise(same, "accuracy") is None, "one genotype"
    old = [TrialRecord(n, "complete", 0.9, genotype_hash=str(n)) for n in range(3)]
    assert read_noise(old, "accuracy") is None, "older versions wrote down no error"
    whole = read_noise(trials(IMAGES, IMAGES), "accuracy")
    assert whole is not None and whole.within and whole.expected == 0.0


def test_seeds_add_their_share_of_the_noise() -> None:
    plain = trials(200, 180)
    noisy = [
        TrialRecord(
            each.trial, "complete", each.objective, genotype_hash=each.genotype_hash, seed_std=0.1,
            standard_error=each.standard_error, held_out={"images": IMAGES, "seeds": 4},
        )
        for each in plain
    ]  # fmt: skip
    first, second = read_noise(plain, "accuracy"), read_noise(noisy, "accuracy")
    assert first is not None and not first.within and second is not None and second.within
    assert second.expected == pytest.approx(math.hypot(first.expected, 0.05))


@pytest.fixture(scope="module")
def within(tmp_path_factory: pytest.TempPathFactory) -> SweepHandle:
    """Four real trials on the digits: random genotypes, each trained for a few epochs and scored on a few images."""
    home = tmp_path_factory.mktemp("within")
    settings = (
        *SMALL, "search.method=random", "data.test_fraction=0.7", "data.held_out=40", "evaluation.epochs=6",
        "evaluation.channels=8", "evaluation.batch_size=32",
    )  # fmt: skip
    space = read_space("quickstart", settings)
    images = load_dataset(space.data)
    ended = []
    for seed in range(4):
        told = task(space, home / str(seed), number=seed, seed=seed, hyperparameters={})
        ended.append(run_trial(told, images, lambda record: None))
    return make_sweep(home, "level", ended, settings)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> SweepHandle:
    found = [outcome(accuracy, seed) for seed, accuracy in enumerate((0.70, 0.80, 0.90, 0.97))]
    return make_sweep(tmp_path_factory.mktemp("apart"), "apart", found)


def test_real_trials_within_the_noise_say_so(
    within: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = within.records()
    assert {record.held_out["images"] for record in records} == {40} and len(records) == 4
    for record in records:
        assert record.objective is not None
        assert record.standard_error == pytest.approx(
            math.sqrt(record.objective * (1 - record.objective) / 40)
        )
        assert record.held_out["accuracy"] == record.objective
    noise = read_noise(records, "accuracy")
    assert noise is not None and noise.within and noise.genotypes == 4
    home = ["--home", str(within.where.home)]

    assert command_line(["leaderboard", "level", *home]) == 0
    table = capsys.readouterr().out
    assert "± se" in table.splitlines()[0]
    assert (
        "the trials lie within the noise, so which of them is best is not known: the accuracy of 4 " in table
    )
    assert f"{noise.spread:.4f}" in table and f"{noise.expected:.4f}" in table and "40 scored images" in table
    assert command_line(["leaderboard", "level", "--json", *home]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert entries == [json.loads(json.dumps(each.to_dict())) for each in rank_trials(records)]
    assert all(entry["standard_error"] > 0 for entry in entries)

    assert command_line(["status", "level", *home]) == 0
    assert "promote level --candidates 4" in capsys.readouterr().out
    assert command_line(["status", "level", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["noise"]["within"] is True

    facts = write_report(within, tmp_path / "level.html")
    said = report_json(facts, tmp_path / "level.html")
    assert "lie within the noise" in said["summary"]["How sure"] and said["held_out_images"] == 40
    assert "--candidates 4" in said["summary"]["Next"] and said["noise"]["within"] is True
    page = (tmp_path / "level.html").read_text(encoding="utf-8")
    assert "lie within the noise" in page and "standard error" in page


def test_mlflow_has_the_standard_error(within: SweepHandle) -> None:
    client = within.store().client
    for record in within.records():
        assert record.run_id is not None
        metrics = client.get_run(record.run_id).data.metrics
        assert metrics["objective"] == record.objective
        assert metrics["objective_se"] == pytest.approx(record.standard_error)
        assert metrics["held_out/images"] == 40


def test_trials_that_are_clearly_apart_do_not(
    apart: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records, home = apart.records(), ["--home", str(apart.where.home)]
    noise = read_noise(records, "accuracy")
    assert noise is not None and not noise.within and candidate_options(records, "accuracy") == []
    for command in ("leaderboard", "status"):
        assert command_line([command, "apart", *home]) == 0
        assert "noise" not in capsys.readouterr().out
    said = report_json(write_report(apart, tmp_path / "apart.html"), tmp_path / "apart.html")
    assert "The trials differ by more than the noise" in said["summary"]["How sure"]
    assert said["noise"]["within"] is False and "--candidates" not in said["summary"]["Next"]


def test_a_promotion_of_one_proposes_more(
    within: SweepHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(within.where.home)]
    assert command_line(["promote", "level", "--device", "cpu", *home]) == 0
    said = capsys.readouterr()
    assert "note: the trials lie within the noise" in said.err
    assert "promote level --candidates 4 --seeds 3" in said.err
    assert "± 0." in said.out.split("test accuracy")[1]
    write_report(within, tmp_path / "level.html")
    page = (tmp_path / "level.html").read_text(encoding="utf-8")
    assert "Recall of each class" in page
    # named by its trial, it is promoted without a remark
    assert command_line(["promote", "level", "--trial", "0", "--device", "cpu", *home]) == 0
    assert "noise" not in capsys.readouterr().err
