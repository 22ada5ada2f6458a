"""`repeats` of a space: a trial that searches with several seeds, and what it comes to."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.made_sweeps import make_sweep
from support.trial_tasks import QUICK_TRIAL, Killed, killed_after, task, timeless

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.settings import apply, override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.leaderboard import leaderboard_columns, rank_trials
from pcdarts_tune.sweeps.tracker import tracker_of
from pcdarts_tune.sweeps.trials.measures import retraining_cost
from pcdarts_tune.sweeps.trials.repeats import repeat_seed
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.sweeps.view import Progress, View
from pcdarts_tune.tasks import Outcome, Proposal

SETTINGS = (*QUICK_TRIAL, "search.batch_size=64", "repeats=3")


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space("quickstart", SETTINGS)


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


@pytest.fixture(scope="module")
def undisturbed(
    space: Space, images: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    place = tmp_path_factory.mktemp("undisturbed")
    return run_trial(task(space, place), images, records.append), records


def test_the_objective_is_the_mean_of_single_trials(
    space: Space, images: DataSet, tmp_path: Path, undisturbed: tuple[Outcome, list[dict[str, Any]]]
) -> None:
    outcome, records = undisturbed
    seeds = [repeat_seed(11, number) for number in (1, 2, 3)]
    assert seeds[0] == 11
    assert len(set(seeds)) == 3
    once = apply(space, {"repeats": 1})
    singles = [
        run_trial(task(once, tmp_path / str(seed), seed=seed), images, lambda record: None) for seed in seeds
    ]
    scores = [single.objective or 0.0 for single in singles]
    assert [each["seed"] for each in outcome.repeats] == seeds
    assert [each["objective"] for each in outcome.repeats] == scores
    assert [each["genotype_hash"] for each in outcome.repeats] == [one.genotype_hash for one in singles]
    assert outcome.objective == pytest.approx(statistics.fmean(scores), abs=0)
    assert outcome.metrics["repeats/std"] == pytest.approx(statistics.stdev(scores))
    best = singles[scores.index(max(scores))]
    assert (outcome.genotype, outcome.params) == (best.genotype, best.params)
    # the records of the first search are those of a trial that searches once
    assert [each.get("repeat") for each in records[:5]] == [None] * 5
    assert [each["repeat"] for each in records if each["kind"] == "repeat"] == [1, 2, 3]
    assert json.loads(json.dumps(outcome.to_dict())) == outcome.to_dict(), "plain values"


@pytest.mark.parametrize("after", [2, 4, 5, 7, 10, 17])
def test_stopped_anywhere_it_ends_as_an_undisturbed_one(
    space: Space,
    images: DataSet,
    tmp_path: Path,
    undisturbed: tuple[Outcome, list[dict[str, Any]]],
    after: int,
) -> None:
    expected, all_records = undisturbed
    with pytest.raises(Killed):
        run_trial(task(space, tmp_path), images, killed_after(after))
    resumed: list[dict[str, Any]] = []
    outcome = run_trial(task(space, tmp_path), images, resumed.append)
    assert resumed[0]["kind"] == "history"
    assert timeless(resumed[0]["records"] + resumed[1:]) == timeless(all_records)
    assert (outcome.objective, outcome.repeats, outcome.genotype) == (
        expected.objective,
        expected.repeats,
        expected.genotype,
    )


def test_a_trial_ends_with_the_first_search_that_is_stopped(images: DataSet, tmp_path: Path) -> None:
    space = read_space("quickstart", (*SETTINGS, "search.method=random"))

    def size(seed: int, number: int) -> int:
        return retraining_cost(space, random_genotype(repeat_seed(seed, number)), images)[0]

    seed = next(seed for seed in range(100) if size(seed, 1) < size(seed, 2))
    limited = apply(space, {"constraints.max_params": size(seed, 1)})
    records: list[dict[str, Any]] = []
    told = task(limited, tmp_path, seed=seed, hyperparameters={})
    outcome = run_trial(told, images, records.append)
    assert outcome.state == "pruned"
    assert (outcome.reason or "").startswith(f"search 2 of 3, seed {repeat_seed(seed, 2)}: ")
    assert [each["objective"] is None for each in outcome.repeats] == [False, True]
    assert outcome.params == size(seed, 2), "the genotype that is too large is the one it is known by"


def test_only_the_first_search_is_compared_at_rungs(images: DataSet, tmp_path: Path) -> None:
    settings = (*SETTINGS, "search.method=random", "stopping.halving.rungs=[1]")
    space = read_space("quickstart", settings)
    records: list[dict[str, Any]] = []
    told = task(space, tmp_path, hyperparameters={})
    assert run_trial(told, images, records.append).state == "complete"
    assert [each.get("repeat", 1) for each in records if "rung" in each] == [1]

    def stop(record: dict[str, Any]) -> str | None:
        return "not among the best" if "rung" in record else None

    # the genotypes are in the cache by now, whole
    again = run_trial(replace(told, folder=str(tmp_path / "again")), images, stop)
    assert again.state == "complete"
    fresh = replace(told, folder=str(tmp_path / "fresh"), evaluations=str(tmp_path / "none"))
    stopped = run_trial(fresh, images, stop)
    assert (stopped.state, stopped.reason) == ("pruned", "search 1 of 3, seed 11: not among the best")


def test_mlflow_has_each_search_under_its_own_names(
    tmp_path: Path, images: DataSet, undisturbed: tuple[Outcome, list[dict[str, Any]]]
) -> None:
    outcome, records = undisturbed
    sweep = make_sweep(tmp_path, "several", (), SETTINGS)
    for attempt in range(2):  # as after an interruption, all is told once more
        tracker = tracker_of(sweep)
        tracker.open()
        tracker.trial(Proposal(0, 11, {"supernet.k": 2, "search.learning_rate": 0.05}))
        for record in records:
            tracker.record(0, record)
        if attempt:
            tracker.ended(0, outcome)
        assert tracker.close("FINISHED", "a summary") == 0
    client = MlflowClient(sweep.tracking_uri)
    run = client.get_run(sweep.study.notes()["run/0"])
    for prefix in ("", "repeat_2/", "repeat_3/"):
        for metric in ("search/acc_train", "evaluation/acc_held_out"):
            history = client.get_metric_history(run.info.run_id, prefix + metric)
            assert sorted(entry.step for entry in history) == [0, 1], prefix + metric
    told = client.get_metric_history(run.info.run_id, "repeats/objective")
    assert {entry.step: entry.value for entry in told} == {
        number: each["objective"] for number, each in enumerate(outcome.repeats, 1)
    }
    assert run.data.metrics["objective"] == outcome.objective
    assert run.data.metrics["repeats/std"] == outcome.metrics["repeats/std"]
    assert run.data.metrics["cost/params"] == outcome.params
    assert run.data.tags["pcdarts.genotype"] == outcome.genotype_hash
    assert run.data.tags["pcdarts.method"] == "pc-darts"
    kept = client.download_artifacts(run.info.run_id, "genotype.json", str(tmp_path))
    assert json.loads(Path(kept).read_text()) == outcome.genotype
    assert "(mean of 3 searches, sd" in run.data.tags["mlflow.note.content"]


def test_the_live_view_counts_the_searches_of_a_trial() -> None:
    progress = Progress(target=1, concurrent=1, stages={"search": 2, "evaluation": 2}, repeats=2)
    view = View(progress, None)
    view.trial_started(Proposal(0, 0, {}))
    running = progress.running[0]
    seen = []
    for repeat in ({}, {"repeat": 2}):
        for stage in ("search", "evaluation"):
            epoch = {"kind": "epoch", "stage": stage, "epoch": 1, "epochs": 2, **repeat}
            view.trial_reported(0, epoch)
            seen.append((running.what, running.share(progress.stages)))
    assert seen == [
        ("search (seed 1 of 2)", 0.25),
        ("evaluation (seed 1 of 2)", 0.5),
        ("search (seed 2 of 2)", 0.75),
        ("evaluation (seed 2 of 2)", 1.0),
    ]


def test_the_spread_in_the_leaderboard_is_that_of_all_searches(tmp_path: Path) -> None:
    def scored(*scores: float) -> Outcome:
        entries = [
            {"seed": number, "genotype_hash": "a", "objective": score, "params": 1, "macs": 1}
            for number, score in enumerate(scores)
        ]
        mean = statistics.fmean(scores)
        return Outcome("complete", mean, genotype_hash="a", params=1, macs=1, repeats=entries)

    settings = ("tune={}", "repeats=2")
    sweep = make_sweep(tmp_path, "several", (scored(0.5, 0.7), scored(0.9, 0.7)), settings)
    best, other = rank_trials(sweep.records())
    assert (best.record.trial, other.record.trial) == (1, 0)
    assert best.spread == other.spread
    assert best.spread is not None
    assert sorted(best.spread.values) == [0.5, 0.7, 0.7, 0.9]
    assert best.to_dict()["repeats"] == best.record.repeats
    columns = leaderboard_columns([best, other], (), "accuracy")
    assert columns["sd (searches)"] == ["0.1414 (2)", "0.1414 (2)"]
    assert columns["mean ± sd (n)"] == ["0.7000 ± 0.1633 (4)"] * 2
    alone = leaderboard_columns(rank_trials([best.record]), (), "accuracy")
    assert "mean ± sd (n)" not in alone, "its own mean is the score"


def test_a_plan_counts_every_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "--space", "quickstart", "--method", "random", "--trials", "2", "--plan", "--json"]
    plans = []
    for repeats in (1, 3):
        assert command_line([*words, "--repeats", str(repeats), "--home", str(tmp_path)]) == 0
        plans.append(json.loads(capsys.readouterr().out))
    for plan in plans:
        one = plan["first_proposals"][0]
        expected = plan["space"]["repeats"] * (one["search_seconds"] + one["evaluation_seconds"])
        assert plan["time"]["trial_seconds"]["median"] == pytest.approx(expected)
    assert plans[1]["space"]["repeats"] == 3
    assert override(read_space("quickstart"), ("repeats=3",)).repeats == 3


def test_the_interval_of_scores_that_are_no_shares_is_not_cut() -> None:
    low, high = Spread((-0.9, -1.1, -1.0)).interval or (0.0, 0.0)
    assert low < -1.0 < high < 0
    assert high - low == pytest.approx(
        2 * 4.302652729911275 * 0.1 / 3**0.5
    )  # Student's t at 0.975 with 2 degrees of freedom
    low, high = Spread((0.01, 0.2, 0.99)).interval or (-1.0, -1.0)
    assert (low, high) == (0.0, 1.0)
