"""`sweep --warm-start` and `--enqueue`: what a new sweep's study knows before its first trial, and what it tries first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.made_sweeps import DARTS, PC_DARTS, SMALL, make_sweep

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where
from pcdarts_tune.keeping.listing import list_sweeps
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.comparison import Scoring
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.queued import read_queue
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.sweep import SweepHandle, counts, open_sweep
from pcdarts_tune.sweeps.warm_start import Learned, learn_from
from pcdarts_tune.tasks import Outcome

CELLS: dict[str, Any] = {"genotype": DARTS, "genotype_hash": "a", "params": 10, "macs": 20}
OUTCOMES = [Outcome("complete", 0.5 + number / 100, **CELLS) for number in range(12)]
OUTCOMES += [Outcome("pruned", reason="too large", **CELLS), Outcome("failed", reason="out of memory")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("warm")
    sweep = make_sweep(home, "first", OUTCOMES, tracked=False)
    sweep.study.ask(20)
    return home


def small(*settings: str) -> Space:
    return override(load_space("quickstart"), [*SMALL, *settings])


def learn(home: Path, space: Space) -> Learned:
    first = open_sweep(Where(home), "first")
    return learn_from(first, space, Scoring("new", space, first.about["data"]["digest"], "float32"))


def make(home: Path, name: str, space: Space, **more: Any) -> SweepHandle:
    about = open_sweep(Where(home), "first").about["data"]
    create_sweep(home, name, space, SweepSettings(), trials=4, data=about, **more)
    return open_sweep(Where(home), name)


def test_foreign_trials_are_known_to_optuna_alone(home: Path) -> None:
    learned = learn(home, small())
    assert learned.left_out == {"it has not ended": [14]} and len(learned.trials) == 14
    sweep = make(home, "known", small(), learned=learned)
    study = sweep.study._study
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 12 + ["PRUNED"] * 2
    assert [trial.user_attrs["foreign"] for trial in study.trials[:2]] == ["first:0", "first:1"]
    first = open_sweep(Where(home), "first").study._study.trials
    assert [t.params for t in study.trials] == [t.params for t in first[:14]]
    assert [t.distributions for t in study.trials] == [t.distributions for t in first[:14]]
    assert study.best_trial.user_attrs["foreign"] == "first:11"
    # and to nobody else
    assert (sweep.records(), len(sweep.study), sweep.study.unfinished()) == ([], 0, [])
    with pytest.raises(UserError, match="no complete trial"):
        sweep.best()
    assert sweep.study.notes()["warm_start"] == {
        "sweep": "first", "trials": 14, "left_out": {"it has not ended": [14]}
    }  # fmt: skip


def test_own_trials_count_from_zero_and_live_as_ever(home: Path) -> None:
    """With and without foreign trials a sweep has the same numbers, seeds and first settings."""
    warm, cold = make(home, "warm", small(), learned=learn(home, small())), make(home, "cold", small())
    asked = [sweep.study.ask(4) for sweep in (warm, cold)]
    assert asked[0] == asked[1], "number, seed and the space's own values"
    again = open_sweep(Where(home), "warm")
    assert again.study.unfinished() == [asked[0]]
    for number in range(3):
        assert number == (asked[0] if number == 0 else again.study.ask(4)).number
        again.study.start(number)
        if number < 2:
            assert again.study.tell(
                number, Outcome("complete", 0.1 * number, **{**CELLS, "genotype": PC_DARTS})
            )
            assert not again.study.tell(number, OUTCOMES[0])
    records = again.study.records()
    assert [(r.trial, r.state, r.objective) for r in records] == [
        (1, "complete", 0.1), (0, "complete", 0.0), (2, "running", None)
    ]  # fmt: skip
    assert counts(records) == {"complete": 2, "running": 1} and set(again.study.trial_times()) == {0, 1, 2}
    assert again.best().genotype == PC_DARTS, "never one of the other sweep's"
    (entry,) = [entry for entry in list_sweeps(Where(home)) if entry.name == "warm"]
    assert (entry.ended, entry.best, entry.best_trial, dict(entry.states)) == (
        2, 0.1, 1, {"complete": 2, "waiting": 1}
    )  # fmt: skip


def test_the_sampler_learns_from_the_first_proposal_on(home: Path) -> None:
    """TPE needs ten trials before its model proposes: with foreign ones it has them."""
    warm = make(home, "modelled", small(), learned=learn(home, small()))
    cold = make(home, "unmodelled", small())
    for sweep in (warm, cold):
        sweep.study.tell(sweep.study.ask(4).number, OUTCOMES[0])
    a, b = (sweep.study.ask(4).hyperparameters for sweep in (warm, cold))
    assert a != b and a.keys() == b.keys()
    random = make(home, "drawn", small("sampler=random"), learned=learn(home, small()))
    assert random.study.ask(4).number == 0


def test_what_the_new_space_does_not_allow_is_left_out(home: Path) -> None:
    hyperparameters = {
        record.trial: record.hyperparameters
        for record in open_sweep(Where(home), "first").records()
        if record.state != "waiting"
    }
    learned = learn(home, small("tune.search.batch_size=null", "search.batch_size=64"))
    there = {number for number, values in hyperparameters.items() if values["search.batch_size"] == 64}
    assert {int(trial.name.partition(":")[2]) for trial in learned.trials} == there
    assert 0 < len(there) < 14
    assert "search.batch_size is 64 here, and not tuned" in learned.left_out
    narrow = small("tune.search.learning_rate={type: float, low: 0.05, high: 0.3, log: true}")
    learned = learn(home, narrow)
    outside = {n for n, values in hyperparameters.items() if values["search.learning_rate"] < 0.05}
    assert {number for numbers in learned.left_out.values() for number in numbers} == outside | {14}
    assert any("outside its range" in reason for reason in learned.left_out)
    make(home, "narrow", narrow, learned=learned)
    said = "\n".join(learned.lines())
    assert f"knows {14 - len(outside)} trials of first" in said and "left out: " in said


def test_limits_are_those_of_the_new_space(home: Path) -> None:
    learned = learn(home, small("constraints.max_params=5"))
    assert learned.trials[0].constraints == {"params": 1.0}
    assert learned.trials[-1].constraints == {}, "it has no cells"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("evaluation.epochs=16", "evaluation.epochs"),
        ("data.held_out=0.2", "data.held_out"),
        ("objective=balanced_accuracy", "objective"),
        ("repeats=2", "repeats is 1 there and 2 here"),
        ("objectives=[accuracy,params]", "objectives"),
    ],
)
def test_scores_that_mean_something_else_are_refused(home: Path, setting: str, said: str) -> None:
    with pytest.raises(UserError, match="warm-start first") as raised:
        learn(home, small(setting))
    assert said in str(raised.value)


def test_other_fixed_settings_are_said(home: Path) -> None:
    learned = learn(home, small("search.epochs=4"))
    assert any("search.epochs" in note and "4 here" in note for note in learned.notes)


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tries.csv", "supernet.k,search.learning_rate\n2,0.1\n4,\n\n"),
        ("tries.json", '[{"supernet.k": 2, "search.learning_rate": 0.1},\n {"supernet": {"k": 4}}]'),
        ("tries.yaml", "- {supernet.k: 2, search.learning_rate: 0.1}\n- supernet:\n    k: 4\n"),
        ("board.json", json.dumps([{"trial": 0, "hyperparameters": {"supernet.k": 2, "search.learning_rate": 0.1}},
                                   {"hyperparameters": {"supernet.k": 4}}])),
    ],
)  # fmt: skip
def test_settings_are_read_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    queued = read_queue(write(tmp_path, name, text), small())
    assert queued == [{"supernet.k": 2, "search.learning_rate": 0.1}, {"supernet.k": 4}]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.csv",
            "supernet.k,search.learning_rte\n2,0.1\n",
            "a.csv:2: no key 'search.learning_rte' (did you mean",
        ),
        ("a.csv", "supernet.k\n2\n3\n", "a.csv:3: supernet.k: 3 lies outside its range"),
        ("a.csv", "supernet.k\n2,4\n", "a.csv:2: 2 values for 1 columns"),
        ("a.yaml", "- supernet.k: 4\n- supernet.k: 4\n  search.epochs: 9\n", "a.yaml:2: search.epochs is "),
        ("a.yaml", "supernet.k: 4\n", "no list of settings"),
        ("a.json", '[{"supernet.k": 4},\n 7]', "a.json:2: 7 is no setting"),
        ("a.json", "[", "cannot be read as JSON"),
        ("a.yaml", "\n", "holds no settings"),
        ("a.yaml", "[]", "holds no settings"),
    ],
)
def test_mistakes_have_lines_and_nearest_names(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        read_queue(write(tmp_path, name, text), small())
    assert said in str(raised.value)


def test_queued_settings_come_first_also_after_an_interruption(home: Path, tmp_path: Path) -> None:
    space = small()
    queued = read_queue(
        write(
            tmp_path,
            "t.csv",
            "supernet.k,search.learning_rate,search.weight_decay\n2,0.1,0.001\n4,0.2,\n1,,\n",
        ),
        space,
    )
    sweep = make(home, "queued", space, queued=queued)
    assert len(sweep.study) == 3
    first = sweep.study.ask(4)
    assert (first.number, first.hyperparameters["supernet.k"]) == (0, 2)
    assert first.hyperparameters["search.learning_rate"] == 0.1
    # the driver dies here; the next one finds the first trial and the two that wait
    again = open_sweep(Where(home), "queued")
    left = again.study.unfinished()
    assert left[0] == first
    assert [(p.number, p.hyperparameters["supernet.k"]) for p in left] == [(0, 2), (1, 4), (2, 1)]
    assert left[1].hyperparameters["search.learning_rate"] == 0.2
    assert set(left[2].hyperparameters) == set(space.tune), "what a setting leaves out is drawn"
    assert [open_sweep(Where(home), "queued").study.unfinished()] == [left]
    for proposal in left:
        again.study.tell(proposal.number, OUTCOMES[0])
    assert again.study.ask(4).number == 3


def test_queued_settings_and_foreign_trials_together(home: Path, tmp_path: Path) -> None:
    queued = read_queue(write(tmp_path, "t.csv", "supernet.k\n2\n"), small())
    sweep = make(home, "both", small(), queued=queued, learned=learn(home, small()))
    proposal = sweep.study.ask(4)
    assert (proposal.number, proposal.hyperparameters["supernet.k"]) == (0, 2)
    sweep.study.tell(0, Outcome("complete", 0.3, **CELLS))
    assert [(r.trial, r.objective) for r in open_sweep(Where(home), "both").records()] == [(0, 0.3)]
