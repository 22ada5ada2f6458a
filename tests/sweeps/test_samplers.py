"""Samplers by name: what they propose after a restart, what they learn from, and what they cannot do; no Ray is started."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.ray_tune import StudySearcher
from pcdarts_tune.sweeps.study.samplers import POPULATION, SAMPLERS, STARTUP_TRIALS, remarks
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.tasks import Outcome, TrialTask

NUMBERS: dict[str, Any] = {
    "search.learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    "search.weight_decay": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
}
MIXED: dict[str, Any] = {
    **NUMBERS,
    "supernet.k": {"type": "categorical", "choices": [1, 2, 4]},
    "search.batch_size": {
        "type": "conditional",
        "by": "supernet.k",
        "ranges": {
            1: {"type": "int", "low": 32, "high": 64, "step": 32},
            2: {"type": "int", "low": 32, "high": 128, "step": 32},
            4: {"type": "int", "low": 32, "high": 256, "step": 32},
        },
    },
}


def unsaved(tune: dict[str, Any], sampler: str, seed: int = 0, **more: Any) -> SweepStudy:
    space = Space(name="s", tune=tune)
    return SweepStudy.unsaved(tune=space.tune, start=None, seed=seed, sampler=sampler, **more)


def score(values: dict[str, Any]) -> float:
    """Best at a learning rate of 10**-1.5 and a weight decay of 10**-3."""
    rate, decay = (math.log10(values[key]) for key in NUMBERS)
    return 1 - 0.1 * (rate + 1.5) ** 2 - 0.1 * (decay + 3) ** 2


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "random"])
def test_a_resumed_sweep_hands_out_what_was_asked_and_then_what_an_undisturbed_one_would(
    tmp_path: Path, sampler: str
) -> None:
    space = Space(name="s", tune=MIXED)
    settings: dict[str, Any] = {"tune": space.tune, "start": None, "seed": 5, "sampler": sampler}
    # far enough for a model, for the second generation of NSGA-II
    trials = POPULATION + 6 if sampler == "nsga2" else STARTUP_TRIALS + 2

    def task(proposal: Any) -> TrialTask:
        return TrialTask(proposal, 0, "{}", "f", "e")

    def run(study: SweepStudy, until: int) -> None:
        """One trial at a time, until one is under way that nobody tells the study of."""
        searcher = StudySearcher(study, target=trials, concurrent=1, task=task, beside=False)
        while True:
            said = searcher.suggest(f"ray-{len(study)}")
            if said == StudySearcher.FINISHED:
                return
            assert isinstance(said, dict)
            number = said["number"]
            if number == until:
                return
            objective = score(TrialTask.from_json(said["task"]).proposal.hyperparameters)
            if number % 5 == 4:
                study.tell(number, Outcome("failed", reason="out of memory"))
            else:
                study.tell(number, Outcome("complete", objective=objective, params=1, macs=1))
            for ray_id in list(searcher.proposals):
                searcher.on_trial_complete(ray_id)

    undisturbed = SweepStudy.create(f"sqlite:///{tmp_path}/a.db", **settings)
    run(undisturbed, trials)
    run(SweepStudy.create(f"sqlite:///{tmp_path}/b.db", **settings), 4)
    for until in (STARTUP_TRIALS + 1, trials):
        run(SweepStudy.open(f"sqlite:///{tmp_path}/b.db", **settings), until)
    resumed = SweepStudy.open(f"sqlite:///{tmp_path}/b.db", **settings)
    drawn = {record.trial: record.hyperparameters for record in resumed.records()}
    assert drawn == {record.trial: record.hyperparameters for record in undisturbed.records()}
    assert len({str(values) for values in drawn.values()}) == trials


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "cmaes"])
def test_what_learns_gets_nearer_than_chance(sampler: str) -> None:
    def last(name: str) -> float:
        means = []
        for seed in range(3):
            study = unsaved(NUMBERS, name, seed)
            scores = []
            for number in range(70):
                scores.append(score(study.ask(70).hyperparameters))
                study.tell(number, Outcome("complete", objective=scores[-1], params=1, macs=1))
            means.append(sum(scores[-20:]) / 20)
        return sorted(means)[1]

    assert last(sampler) > last("random") + 0.05


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_what_fails_is_avoided(sampler: str) -> None:
    # everything with a large learning rate runs out of memory; what does not is equally good
    study = unsaved(NUMBERS, sampler)
    failed = []
    for number in range(34):
        values = study.ask(34).hyperparameters
        failed.append(values["search.learning_rate"] > 0.03)
        if failed[-1]:
            study.tell(number, Outcome("failed", reason="out of memory"))
        else:
            study.tell(number, Outcome("complete", objective=0.9, params=1, macs=1))
    early, late = sum(failed[:STARTUP_TRIALS]) / STARTUP_TRIALS, sum(failed[-10:]) / 10
    assert late < early


def test_sobol_points_fill_the_space_evenly_and_conditional_ranges_too() -> None:
    study = unsaved(MIXED, "qmc")
    drawn = []
    for number in range(32):
        drawn.append(study.ask(32).hyperparameters)
        study.tell(number, Outcome("complete", objective=0.5, params=1, macs=1))
    eighths = {int(8 * (math.log10(values["search.learning_rate"]) + 3) / 3) for values in drawn}
    assert eighths == set(range(8))
    counts = [sum(values["supernet.k"] == k for values in drawn) for k in (1, 2, 4)]
    assert max(counts) - min(counts) <= 3
    assert {values["search.batch_size"] for values in drawn if values["supernet.k"] == 4} >= {32, 256}


def test_a_study_holds_no_pickle(tmp_path: Path) -> None:
    study = SweepStudy.create(
        f"sqlite:///{tmp_path}/s.db",
        tune=Space(name="s", tune=NUMBERS).tune,
        start=None,
        seed=0,
        sampler="cmaes",
    )
    for number in range(10):
        study.tell(
            number, Outcome("complete", objective=score(study.ask(10).hyperparameters), params=1, macs=1)
        )
    kept = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/s.db")
    generations = [trial.system_attrs["pcdarts:cmaes_generation"] for trial in kept.trials]
    assert generations == sorted(generations)
    assert generations[-1] >= 1
    # Optuna's own sampler would keep the optimiser here
    assert {key for trial in kept.trials for key in trial.system_attrs} == {"pcdarts:cmaes_generation"}


def test_what_a_sampler_cannot_do_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = "description: mine\nsampler: cmaes\ntune:\n  supernet.k: {type: categorical, choices: [1, 2]}\n"
    file.write_text(text)
    with pytest.raises(
        UserError, match=r"mine.yaml:2: sampler: cmaes draws numbers, and supernet.k are none"
    ):
        load_space(file)
    file.write_text(text.replace("cmaes", "cmae"))
    with pytest.raises(
        UserError, match=r"mine.yaml:2: sampler: 'cmae' is not legal \(did you mean 'cmaes'\?\)"
    ):
        load_space(file)
    space = Space(name="s", tune=NUMBERS, sampler="cmaes")
    with pytest.raises(UserError, match="cmaes takes one objective, not accuracy, macs"):
        override(space, ["objectives=[accuracy, macs]"])


def test_what_is_drawn_at_random_is_said() -> None:
    tune = Space(name="s", tune=MIXED).tune
    assert remarks("tpe", tune) == []
    assert "supernet.k" in remarks("cmaes", tune)[0]
    assert "search.batch_size" not in remarks("cmaes", tune)[0], "a place in its range, whatever K is"
    assert "search.batch_size" in remarks("gp", tune)[0]
    assert remarks("gp", Space(name="s", tune=NUMBERS).tune) == []


def test_a_slow_sampler_does_not_hold_the_driver_up() -> None:
    study = unsaved(NUMBERS, "random")
    thinks = threading.Event()
    ask = study.ask

    def slowly(target: int) -> Any:
        assert thinks.wait(30)
        return ask(target)

    study.ask = slowly  # type: ignore[method-assign]

    def task(proposal: Any) -> TrialTask:
        return TrialTask(proposal, 0, "{}", "f", "e")

    searcher = StudySearcher(study, target=2, concurrent=2, task=task, beside=True)
    assert [searcher.suggest("a") for _ in range(3)] == [None] * 3, (
        "it thinks, and the driver is answered at once"
    )
    thinks.set()
    said = None
    deadline = time.monotonic() + 30
    while said is None and time.monotonic() < deadline:
        said = searcher.suggest("a")
    assert isinstance(said, dict)
    # what it proposes while the sweep stops is in the study, for the next driver
    assert searcher.suggest("b") in (None, StudySearcher.FINISHED) or len(study) == 2
    searcher.close()
    assert [proposal.number for proposal in study.unfinished()] == [0, 1]
