"""What ends a trial before its time, and what a sweep with several objectives makes of its trials; no Ray, no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.load import load_space, space_names
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space, rung_epochs
from pcdarts_tune.spaces.values import amount
from pcdarts_tune.sweeps.study.objectives import Rung, excess, excess_reason, fronts, reason_to_stop
from pcdarts_tune.sweeps.study.samplers import STARTUP_TRIALS
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.sweeps.trials.measures import collapse, collapse_reason, reached_rung
from pcdarts_tune.tasks import Outcome

TUNE: dict[str, Any] = {"search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0}}
RUNG = Rung(epochs=4, of=25, keep=0.34, min_trials=3)


def study_of(space: Space, sampler: str = "tpe") -> SweepStudy:
    return SweepStudy.unsaved(
        tune=space.tune, start=None, seed=0, sampler=sampler, objectives=space.objectives
    )


def complete(objective: float, **more: Any) -> Outcome:
    return Outcome("complete", objective=objective, **{"params": 1, "macs": 1, **more})


def test_the_collapse_rule() -> None:
    rule: dict[str, Any] = {"skip_connections": 6, "first": 2, "epochs": 2}
    assert collapse([7, 7, 7, 7], **rule) == 3, "epochs before the first do not count"
    assert collapse([0, 0, 6, 5, 6, 8], **rule) == 5, "in a row"
    assert collapse([0, 0, 6, 5, 6], **rule) is None
    assert collapse([8] * 9, skip_connections=6, first=0, epochs=1) == 0
    assert collapse([], **rule) is None


def test_a_frozen_architecture_has_not_collapsed() -> None:
    space = override(
        load_space("cifar10"),
        ["search.epochs=10", "search.arch_warmup_epochs=8", "stopping.collapse.epochs=1"],
    )

    def after(counts: list[int]) -> str | None:
        metrics = [{"arch/skip_connections": float(count)} for count in counts]
        history = [{"kind": "epoch", "stage": "search", "metrics": each} for each in metrics]
        return collapse_reason(space, [{"kind": "derived"}, *history])

    assert after([8] * 8) is None
    reason = after([8] * 9)
    assert reason is not None
    assert "8 of the normal cell's 8 edges" in reason
    assert "epoch 9 of 10" in reason
    assert collapse_reason(override(space, ["stopping.collapse.skip_connections=null"]), []) is None


def test_rungs_are_shares_of_an_evaluation_or_epochs() -> None:
    assert rung_epochs((0.17, 0.5), 600) == (102, 300)
    assert rung_epochs((0.17,), 25) == (4,)
    assert rung_epochs((0.17, 0.5), 2) == (1,), "what falls together or at the end is left out"
    assert rung_epochs((3, 9), 25) == (3, 9)
    space = override(load_space("quickstart"), ["stopping.halving.rungs=[2]"])
    found = {"params": 10, "macs": 20}
    records = [{"epoch": 0, "accuracy": 0.2}, {"epoch": 1, "accuracy": 0.3}]
    assert reached_rung(space, found, records[:1]) == {}
    assert reached_rung(space, found, records) == {"rung": {"epochs": 2, "values": {"accuracy": 0.3}}}
    losses = [{**record, "metrics": {"evaluation/loss_held_out": 1.5}} for record in records]
    by_loss = override(space, ["objective=loss"])
    assert reached_rung(by_loss, found, losses) == {"rung": {"epochs": 2, "values": {"accuracy": -1.5}}}


def test_the_best_share_goes_on_at_a_rung() -> None:
    def goes_on(accuracy: float, others: list[float]) -> bool:
        told = [{"accuracy": other} for other in others]
        return reason_to_stop(("accuracy",), {"accuracy": accuracy}, told, RUNG) is None

    assert goes_on(0.1, []) and goes_on(0.1, [0.9]), "too few to tell"
    assert not goes_on(0.1, [0.9, 0.8])
    assert goes_on(0.95, [0.9, 0.8])
    assert not goes_on(0.85, [0.9, 0.8, 0.7]), "second of four"
    assert goes_on(0.85, [0.9, 0.8, 0.7, 0.6, 0.5]), "second of six"
    assert goes_on(0.9, [0.9] * 9), "no worse than those that went on"
    reason = reason_to_stop(("accuracy",), {"accuracy": 0.1}, [{"accuracy": 0.9}] * 2, RUNG)
    assert reason == (
        "accuracy 0.1000 after 4 of 25 epochs of the evaluation: place 3 of 3, the best 34% go on"
    )


def test_several_objectives_go_on_by_front_first() -> None:
    aims = ("accuracy", "macs")
    others = [{"accuracy": 0.9, "macs": 100.0}, {"accuracy": 0.8, "macs": 200.0}]
    assert reason_to_stop(aims, {"accuracy": 0.95, "macs": 300.0}, others, RUNG) is None
    # more accurate than the second, and yet behind a front that it is not on
    dominated = reason_to_stop(aims, {"accuracy": 0.85, "macs": 150.0}, others, RUNG)
    assert dominated is not None
    assert "by Pareto front" in dominated


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_fronts_are_what_is_left_undominated(points: list[tuple[int, int]]) -> None:
    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    numbers = fronts([(float(a), float(b)) for a, b in points])
    for at, number in zip(points, numbers, strict=True):
        before = [other for other, rank in zip(points, numbers, strict=True) if rank == number - 1]
        assert not any(
            dominates(other, at) for other, rank in zip(points, numbers, strict=True) if rank >= number
        )
        assert number == 0 or any(dominates(other, at) for other in before)


def test_sizes_are_read_and_told() -> None:
    assert [amount(text) for text in ("600M", "4.2M", "150k", "1G", "12", 7, 6e8, None)] == [
        600_000_000, 4_200_000, 150_000, 10**9, 12, 7, 600_000_000, None,
    ]  # fmt: skip
    for wrong in ("600X", "", "M", "-1M", "1.5", True, 0.5, "nan"):
        with pytest.raises(ValueError, match="whole number"):
            amount(wrong)
    space = override(load_space("quickstart"), ["constraints.max_macs=2M", "constraints.max_params=1M"])
    assert excess(space, params=500_000, macs=3_000_000) == {"params": -0.5, "macs": 0.5}
    assert excess_reason(space, params=500_000, macs=3_000_000) == (
        "3,000,000 multiply-adds an image in the retraining network, 1,000,000 (50%) over constraints.max_macs"
    )
    assert excess_reason(space, params=500_000, macs=2_000_000) is None
    assert excess(load_space("quickstart"), params=1, macs=1) == {}


def test_mistakes_are_refused_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nobjectives: [macs]\nconstraints: {max_macs: 600X}\nevaluation: {epochs: 10}\n"
        "stopping:\n  collapse: {skip_connections: 9}\n  halving:\n    rungs: [0.5, 0.2]\n    keep: 1\n"
    )
    with pytest.raises(UserError) as refused:
        load_space(file)
    for line, said in (
        (2, "accuracy must be among"),
        (3, "'600X' is not legal; must be a whole number, such as 600M"),
        (6, "skip_connections = 9: a cell of 4 nodes has 8 edges"),
        (8, "rungs = 0.5, 0.2 must rise"),
        (9, "keep"),
    ):
        assert any(
            text.startswith(f"{file}:{line}: ") and said in text for text in str(refused.value).split("\n")
        )
    with pytest.raises(UserError, match=r"--set stopping.halving.rungs=\[30\]: .* not before the end"):
        override(load_space("cifar10"), ["stopping.halving.rungs=[30]"])
    with pytest.raises(UserError, match="not tuned"):
        override(load_space("cifar10"), ["tune.stopping.halving.keep={type: float, low: 0.1, high: 0.5}"])


def test_every_shipped_space_says_what_ends_its_trials() -> None:
    stops = {name: load_space(name).stopping for name in space_names()}
    assert [name for name, stop in stops.items() if stop.collapse.skip_connections is None] == [
        "quickstart", "cifar10_ablation", "cifar10_cpu", "cifar10_paper", "nasbench201_cpu", "reproduce_paper",
        "robustdarts_s1", "robustdarts_s2", "robustdarts_s3", "robustdarts_s4",
    ]  # fmt: skip
    # one made before there were several objectives
    older = {**load_space("quickstart").model_dump(mode="json"), "objective": "evaluation_accuracy"}
    del older["objectives"], older["constraints"], older["stopping"], older["sampler"]
    import json

    assert Space.model_validate_json(json.dumps(older)) == load_space("quickstart")


def test_a_decision_at_a_rung_is_made_once_and_survives(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    settings: dict[str, Any] = {"tune": Space(name="s", tune=TUNE).tune, "start": None, "seed": 0}
    study = SweepStudy.create(url, **settings)
    for _ in range(5):
        study.ask(5)
    assert [study.decide_at_rung(number, {"accuracy": 0.5 + number / 10}, RUNG) for number in range(3)] == [
        None
    ] * 3
    stop = study.decide_at_rung(3, {"accuracy": 0.4}, RUNG)
    assert stop is not None
    # the driver dies here; the trial says again what it had, among better company
    again = SweepStudy.open(url, **settings)
    assert again.decide_at_rung(0, {"accuracy": 0.5}, RUNG) is None, "what was told to go on goes on"
    assert again.decide_at_rung(3, {"accuracy": 0.4}, RUNG) == stop
    assert again.decide_at_rung(4, {"accuracy": 0.9}, RUNG) is None
    again.tell(3, Outcome("pruned", reason=stop, params=5, macs=6))
    again.tell(0, complete(0.8))
    again.tell(1, Outcome("failed", reason="out of memory"))
    told = optuna.load_study(study_name="sweep", storage=url).trials
    assert told[3].state.name == "PRUNED"
    assert told[3].intermediate_values == {4: 0.4}
    assert told[1].intermediate_values == {}, "a failure ranks worst, whatever it had reached"
    record = next(record for record in again.records() if record.trial == 3)
    assert (record.state, record.objective, record.reason) == ("pruned", None, stop)
    assert record.rungs == {"4": 0.4}


def test_tpe_puts_what_is_complete_above_what_was_stopped_however_accurate_it_was_there() -> None:
    space = Space(name="s", tune=TUNE)
    study = study_of(space)
    # low learning rates end at a rung with a high accuracy there, high ones come to the end
    for number in range(40):
        rate = study.ask(40).hyperparameters["search.learning_rate"]
        if rate < 0.5:
            study.decide_at_rung(number, {"accuracy": 0.99}, Rung(4, 25, 0.34, 10**6))
            study.tell(number, Outcome("pruned", reason="stopped"))
        else:
            study.tell(number, complete(0.6))
    rates = [
        record.hyperparameters["search.learning_rate"] for record in study.records() if record.trial >= 30
    ]
    assert sum(rate > 0.5 for rate in rates) >= 8


def test_tpe_learns_where_genotypes_are_too_large() -> None:
    space = Space(name="s", tune=TUNE, objectives=("accuracy", "macs"))
    study = study_of(space)
    too_large = []
    for number in range(40):
        rate = study.ask(40).hyperparameters["search.learning_rate"]
        over = rate / 0.4 - 1
        too_large.append(over > 0)
        if over > 0:
            outcome = Outcome("pruned", reason="too large", params=1, macs=2, constraints={"macs": over})
            study.tell(number, outcome)
        else:
            study.tell(number, complete(0.5, macs=int(100 * rate), constraints={"macs": over}))
    assert sum(too_large[:STARTUP_TRIALS]) >= 4
    assert sum(too_large[-10:]) <= 2


def test_the_pareto_front_comes_first() -> None:
    study = study_of(Space(name="s", tune=TUNE, objectives=("accuracy", "macs", "latency")))
    for accuracy, macs, latency in ((0.9, 300, 3.0), (0.95, 400, 4.0), (0.94, 500, 5.0), (0.8, 100, 9.0)):
        study.tell(study.ask(9).number, complete(accuracy, macs=macs, latency=latency))
    study.tell(study.ask(9).number, Outcome("pruned", reason="too large", macs=900))
    records = study.records()
    assert [(record.trial, record.pareto) for record in records] == [
        (1, True), (0, True), (3, True), (2, False), (4, None),
    ]  # fmt: skip
    assert records[0].objectives == {"accuracy": 0.95, "macs": 400, "latency": 4.0}
    contract = "trial state objective genotype genotype_hash params macs hyperparameters run_id reason"
    assert list(records[0].to_dict())[:10] == contract.split()
    one = study_of(Space(name="s", tune=TUNE))
    one.tell(one.ask(9).number, complete(0.9))
    assert (one.records()[0].pareto, one.records()[0].objectives) == (None, {"accuracy": 0.9})


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random", "qmc"])
def test_samplers_take_several_objectives_with_pruned_trials_and_limits(sampler: str) -> None:
    study = study_of(Space(name="s", tune=TUNE, objectives=("accuracy", "macs")), sampler)
    for number in range(18):
        rate = study.ask(18).hyperparameters["search.learning_rate"]
        if number % 6 == 4:
            study.tell(number, Outcome("failed", reason="out of memory"))
        elif number % 6 == 5:
            outcome = Outcome("pruned", reason="too large", macs=9, constraints={"macs": 0.5})
            study.tell(number, outcome)
        else:
            study.tell(number, complete(rate, macs=int(1000 * rate), constraints={"macs": -0.5}))
    assert sum(record.state == "complete" for record in study.records()) == 12
