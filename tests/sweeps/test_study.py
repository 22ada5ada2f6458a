"""The Optuna study of a sweep: proposals, what is told, what is found again; no Ray."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.load import load_space, space_names
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import starting_point
from pcdarts_tune.spaces.values import Sampler
from pcdarts_tune.sweeps.study.samplers import SAMPLERS, STARTUP_TRIALS, derived_seed
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.tasks import Outcome, TrialRecord, ranked

TUNE: dict[str, Any] = {
    "supernet.k": {"type": "categorical", "choices": [1, 2, 4]},
    "search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
    "search.batch_size": {
        "type": "conditional",
        "by": "supernet.k",
        "ranges": {
            1: {"type": "categorical", "choices": [32, 64]},
            2: {"type": "categorical", "choices": [64, 128]},
            4: {"type": "categorical", "choices": [128, 256]},
        },
    },
}


def settings(space: Space, seed: int = 0, sampler: str = "tpe") -> dict[str, Any]:
    start = starting_point(space) if space.tune else None
    return {"tune": space.tune, "start": start, "seed": seed, "sampler": sampler}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def complete(objective: float) -> Outcome:
    return Outcome(
        "complete", objective=objective, genotype={"normal": []}, genotype_hash="00", params=1, macs=2
    )


def run(study: SweepStudy, number: int, target: int = 100) -> list[dict[str, Any]]:
    drawn = []
    for _ in range(number):
        proposal = study.ask(target)
        drawn.append(proposal.hyperparameters)
        study.start(proposal.number)
        study.tell(proposal.number, complete(proposal.hyperparameters["search.learning_rate"]))
    return drawn


def test_first_trial_takes_the_space_s_own_values(url: str) -> None:
    space = Space(name="own", tune=TUNE)
    first = SweepStudy.create(url, **settings(space)).ask(10)
    assert first.hyperparameters == {"supernet.k": 4, "search.learning_rate": 0.1, "search.batch_size": 256}


def test_first_trial_is_drawn_where_the_own_value_is_outside_its_range(url: str) -> None:
    tune = {"search.learning_rate": {"type": "float", "low": 0.5, "high": 1.0}}
    first = SweepStudy.create(url, **settings(Space(name="out", tune=tune))).ask(10)
    assert 0.5 <= first.hyperparameters["search.learning_rate"] <= 1.0


@pytest.mark.parametrize("sampler", ["random"])  # the others in test_samplers.py
def test_a_reopened_study_proposes_what_an_undisturbed_one_does(tmp_path: Path, sampler: str) -> None:
    space = Space(name="again", tune=TUNE)
    trials = STARTUP_TRIALS + 4
    undisturbed = run(SweepStudy.create(f"sqlite:///{tmp_path}/a.db", **settings(space, 7, sampler)), trials)
    url = f"sqlite:///{tmp_path}/b.db"
    disturbed = run(SweepStudy.create(url, **settings(space, 7, sampler)), 3)
    for _ in range(trials - 3):
        disturbed += run(SweepStudy.open(url, **settings(space, 7, sampler)), 1)
    assert disturbed == undisturbed
    assert len({str(values) for values in undisturbed}) == trials
    other = run(SweepStudy.create(f"sqlite:///{tmp_path}/c.db", **settings(space, 8, sampler)), 3)
    assert other[0] == undisturbed[0]
    assert other[1] != undisturbed[1]


def test_tpe_proposes_after_the_random_start(url: str) -> None:
    tune = {"search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0}}
    drawn = run(SweepStudy.create(url, **settings(Space(name="tpe", tune=tune))), 40)
    rates = [values["search.learning_rate"] for values in drawn]
    # the objective is the rate itself: proposals that learn end up high
    assert sum(rates[25:]) / 15 > 0.75 > sum(rates[:10]) / 10


def test_a_trial_that_died_between_asking_and_writing_down_is_completed(url: str) -> None:
    space = Space(name="half", tune=TUNE)
    study = SweepStudy.create(url, **settings(space, sampler="random"))
    run(study, 1)
    whole = study.ask(10)
    study.tell(whole.number, complete(0.5))
    # the same trial number in another study, which stops after one of its parameters
    other = url.replace("study.db", "other.db")
    run(SweepStudy.create(other, **settings(space, sampler="random")), 1)
    half = optuna.load_study(study_name="sweep", storage=other).ask()
    half.suggest_categorical("supernet.k", [1, 2, 4])
    (found,) = SweepStudy.open(other, **settings(space, sampler="random")).unfinished()
    assert found.number == whole.number
    assert found.seed == whole.seed
    assert found.hyperparameters["search.learning_rate"] == whole.hyperparameters["search.learning_rate"]


def test_unfinished_trials_are_found_again_under_their_numbers(url: str) -> None:
    space = Space(name="open", tune=TUNE)
    study = SweepStudy.create(url, **settings(space))
    asked = [study.ask(10) for _ in range(3)]
    study.start(asked[0].number)
    study.tell(asked[1].number, complete(0.9))
    study.start(asked[2].number)
    again = SweepStudy.open(url, **settings(space))
    assert again.unfinished() == [asked[0], asked[2]]
    assert [record.state for record in again.records()] == ["complete", "running", "running"]
    assert again.ask(10).number == 3
    assert [record.state for record in again.records()].count("waiting") == 1


def test_failures_are_told_as_pruned_and_shown_as_failed(url: str) -> None:
    study = SweepStudy.create(url, **settings(Space(name="fail", tune=TUNE)))
    number = study.ask(10).number
    assert study.tell(number, Outcome("failed", reason="out of memory with K 1"))
    assert not study.tell(number, complete(1.0)), "the first word counts"
    (told,) = optuna.load_study(study_name="sweep", storage=url).trials
    assert told.state == optuna.trial.TrialState.PRUNED
    assert not told.intermediate_values
    (record,) = study.records()
    assert (record.state, record.reason, record.objective) == ("failed", "out of memory with K 1", None)


def test_a_grid_that_fits_is_visited_once_before_any_repeat(url: str) -> None:
    tune = {
        "supernet.k": {"type": "categorical", "choices": [1, 2, 4, 8]},
        "supernet.edge_normalization": {"type": "categorical", "choices": [True, False]},
    }
    study = SweepStudy.create(url, **settings(Space(name="grid", tune=tune)))
    seen = []
    for _ in range(8):
        proposal = study.ask(8)
        seen.append(str(sorted(proposal.hyperparameters.items())))
        study.tell(proposal.number, complete(0.5))
    assert len(set(seen)) == 8
    assert study.ask(9).number == 8, "a ninth trial repeats one"


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_trials_beyond_a_grid_go_round_evenly(url: str, sampler: str) -> None:
    """Also those that run at a time, of a study that is opened again, and of one that gets more trials."""
    how = settings(load_space("cifar10_ablation"), sampler=sampler)
    study, proposals, waiting = SweepStudy.create(url, **how), [], []
    for target in (16, 16, 19, 24):
        while len(proposals) < target - 2 * (len(proposals) < 10):
            proposals.append(proposal := study.ask(target))
            waiting.append(proposal.number)
            if len(waiting) == 3:  # three at a time; all sorts of ends, the good ones of one combination
                number = waiting.pop(1)
                good = proposals[number].hyperparameters["supernet.k"] == 2
                study.tell(number, complete(0.9) if good else Outcome("failed", reason="out of memory"))
        study = SweepStudy.open(url, **how)  # as `resume` and `extend` do
    keys = [tuple(sorted(proposal.hyperparameters.items())) for proposal in proposals]
    for end in (8, 16, 24):
        assert set(Counter(keys[:end]).values()) == {end // 8}
    assert set(Counter(keys[:19]).values()) == {2, 3}
    assert len({proposal.seed for proposal in proposals}) == 24, "each repetition has a seed of its own"


def test_nothing_tuned_differs_by_the_seed_alone(url: str) -> None:
    study = SweepStudy.create(url, **settings(Space(name="fixed")))
    proposals = [study.ask(3) for _ in range(3)]
    assert [proposal.hyperparameters for proposal in proposals] == [{}, {}, {}]
    assert len({proposal.seed for proposal in proposals}) == 3


def test_notes_can_be_set_after_a_trial_has_ended(url: str) -> None:
    study = SweepStudy.create(url, **settings(Space(name="notes", tune=TUNE)))
    number = study.ask(10).number
    study.tell(number, complete(0.5))
    study.note(f"run/{number}", "abc")
    assert study.records()[0].run_id == "abc"


def test_the_leaderboard_contract(url: str) -> None:
    study = SweepStudy.create(url, **settings(Space(name="keys", tune=TUNE)))
    study.tell(study.ask(10).number, complete(0.97))
    (record,) = study.records()
    contract = "trial state objective genotype genotype_hash params macs hyperparameters run_id reason"
    assert list(record.to_dict())[:10] == contract.split()


def test_ranking_puts_the_best_first_and_what_did_not_end_last() -> None:
    def record(trial: int, state: Any, objective: float | None, params: int | None = None) -> TrialRecord:
        return TrialRecord(trial, state, objective, None, None, params, None, {}, None, None, 0)

    order = ranked(
        [
            record(0, "running", None),
            record(1, "complete", 0.9, 20),
            record(2, "failed", None),
            record(3, "complete", 0.9, 10),
            record(4, "complete", 0.95, 30),
        ]
    )
    assert [entry.trial for entry in order] == [4, 3, 1, 2, 0]


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    space = Space(name="none")
    with pytest.raises(UserError, match=r"empty.db is missing"):
        SweepStudy.open(f"sqlite:///{tmp_path}/empty.db", **settings(space))
    (tmp_path / "empty.db").touch()
    with pytest.raises(UserError, match="holds no sweep"):
        SweepStudy.open(f"sqlite:///{tmp_path}/empty.db", **settings(space))
    (tmp_path / "text.db").write_text("this is no database, whatever its name may say")
    with pytest.raises(UserError, match="cannot be read"):
        SweepStudy.open(f"sqlite:///{tmp_path}/text.db", **settings(space))


def test_an_unknown_sampler_is_refused_by_name(url: str) -> None:
    study = SweepStudy.create(url, **settings(Space(name="s", tune=TUNE), sampler="tpee"))
    with pytest.raises(UserError, match="did you mean 'tpe'"):
        study.ask(10)
    assert tuple(SAMPLERS) == get_args(Sampler)


def test_seeds_differ_by_sweep_trial_and_purpose() -> None:
    seeds = {
        derived_seed(seed, what, number)
        for seed in range(20)
        for what in ("trial", "proposal")
        for number in range(20)
    }
    assert len(seeds) == 800
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("name", space_names())
def test_every_shipped_space_can_be_proposed_from(url: str, name: str) -> None:
    from pcdarts_tune.spaces.settings import apply

    space = load_space(name)
    study = SweepStudy.create(url, **settings(space))
    for _ in range(4):
        apply(space, study.ask(4).hyperparameters)
