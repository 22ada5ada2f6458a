"""Real trials on the digits that end before their time, without Ray: what they report, leave and share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.trial_tasks import Killed, task

from pcdarts_tune.core.cost import Latency, measure_latency
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.tasks import Outcome

SETTINGS = (
    "data.test_fraction=0.7",  # fewer to train on
    "supernet.channels=4",
    "supernet.primitives=[none, skip_connect]",
    "search.epochs=3",
    "search.arch_warmup_epochs=1",
    "search.batch_size=256",
    "evaluation.epochs=3",
    "evaluation.channels=4",
    "evaluation.batch_size=256",
    "retrain.layers=3",
)


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space("quickstart", SETTINGS)


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


def epochs(records: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(record.get("stage", record["kind"]), record.get("epoch")) for record in records]


def test_a_search_that_collapses_ends_with_its_genotype(
    space: Space, images: DataSet, tmp_path: Path
) -> None:
    rule = ["stopping.collapse.skip_connections=8", "stopping.collapse.after=0", "stopping.collapse.epochs=1"]
    told = task(override(space, rule), tmp_path)
    records: list[dict[str, Any]] = []
    outcome = run_trial(told, images, records.append)
    assert epochs(records) == [("search", 0), ("search", 1), ("derived", None)], (
        "the frozen epoch does not count"
    )
    assert outcome.state == "pruned"
    assert "the search collapsed: 8 of the normal cell's 8 edges" in (outcome.reason or "")
    assert outcome.genotype and outcome.params and outcome.macs, "what it came to stays"
    assert read_result(tmp_path / "trial") == {"outcome": outcome.to_dict(), "history": records}
    # killed after the epoch in which it collapsed: it does not search on
    seen: list[dict[str, Any]] = []

    def report(record: dict[str, Any]) -> None:
        seen.append(record)
        if record["kind"] == "derived":
            raise Killed

    other = task(override(space, rule), tmp_path / "b")
    with pytest.raises(Killed):
        run_trial(other, images, report)
    again: list[dict[str, Any]] = []
    assert run_trial(other, images, again.append).reason == outcome.reason
    assert [record["kind"] for record in again] == ["history"]


def test_a_genotype_that_is_too_large_is_not_evaluated(space: Space, images: DataSet, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    limited = override(space, ["constraints.max_macs=100k", "constraints.max_params=10M"])
    outcome = run_trial(task(limited, tmp_path), images, records.append)
    assert epochs(records)[-1] == ("derived", None)
    assert outcome.state == "pruned"
    assert outcome.macs is not None
    assert outcome.constraints["macs"] == pytest.approx(outcome.macs / 100_000 - 1)
    assert -1 < outcome.constraints["params"] < 0
    assert "over constraints.max_macs" in (outcome.reason or "")
    assert "max_params" not in (outcome.reason or "")


def test_an_evaluation_ends_at_its_rung_or_goes_on(space: Space, images: DataSet, tmp_path: Path) -> None:
    halved = override(space, ["stopping.halving.rungs=[1, 2]", "objectives=[accuracy, macs]"])

    def stops_after(rung: int, records: list[dict[str, Any]]) -> Any:
        def report(record: dict[str, Any]) -> str | None:
            records.append(record)
            entries = record["records"] if record["kind"] == "history" else [record]
            reached = [entry["rung"] for entry in entries if "rung" in entry]
            return "not good enough" if reached and reached[-1]["epochs"] == rung else None

        return report

    records: list[dict[str, Any]] = []
    outcome = run_trial(task(halved, tmp_path / "a"), images, stops_after(2, records))
    assert epochs(records)[-2:] == [("evaluation", 0), ("evaluation", 1)]
    rungs = [record["rung"] for record in records if "rung" in record]
    assert [rung["epochs"] for rung in rungs] == [1, 2]
    assert rungs[1]["values"] == {"accuracy": records[-1]["accuracy"], "macs": outcome.macs}
    assert (outcome.state, outcome.reason, outcome.objective) == ("pruned", "not good enough", None)
    assert outcome.metrics["evaluation/acc_held_out"] == records[-1]["accuracy"]
    left = sorted(path.name for path in (tmp_path / "a" / "trial").iterdir())
    assert left == ["genotype.json", "result.json"]
    # the same genotype in another trial is not trained to the same end once more
    more: list[dict[str, Any]] = []
    other = task(halved, tmp_path / "a", number=3, folder=str(tmp_path / "other"))
    taken = run_trial(other, images, stops_after(0, more))
    assert not any(record.get("stage") == "evaluation" for record in more)
    assert (taken.state, taken.evaluation_from) == ("pruned", 0)
    assert taken.reason == "not good enough; trial 0 found the same genotype and ended there"
    # told to go on everywhere, it ends as if there were no rungs
    free = run_trial(task(halved, tmp_path / "b"), images, stops_after(0, []))
    plain = run_trial(task(space, tmp_path / "c"), images, lambda record: None)
    assert (free.state, free.objective) == ("complete", plain.objective)


def test_a_trial_killed_at_its_rung_is_answered_again(space: Space, images: DataSet, tmp_path: Path) -> None:
    halved = override(space, ["stopping.halving.rungs=[1]"])

    def killed(record: dict[str, Any]) -> None:
        if "rung" in record:
            raise Killed

    with pytest.raises(Killed):
        run_trial(task(halved, tmp_path), images, killed)
    records: list[dict[str, Any]] = []

    def report(record: dict[str, Any]) -> str | None:
        records.append(record)
        return "place 9 of 9" if record["kind"] == "history" else None

    outcome = run_trial(task(halved, tmp_path), images, report)
    assert [record["kind"] for record in records] == ["history"], "not an epoch more"
    assert (outcome.state, outcome.reason) == ("pruned", "place 9 of 9")


def test_latency_is_measured_where_it_is_an_objective(space: Space, images: DataSet, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []
    outcome: Outcome = run_trial(
        task(override(space, ["objectives=[accuracy, latency]"]), tmp_path), images, records.append
    )
    assert outcome.latency is not None
    assert 0.01 < outcome.latency < 10_000, "milliseconds"
    assert [record["latency"] for record in records if record["kind"] == "derived"] == [outcome.latency]
    network = EvaluationNetwork(
        PUBLISHED["PC_DARTS_cifar"], channels=4, layers=3, num_classes=2, auxiliary=False
    )
    assert measure_latency(network, 3, (8, 8), repeats=5).median > 0
    assert network.training, "the mode is put back"


def test_latency_is_told_with_its_spread() -> None:
    network = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], channels=4, layers=3, num_classes=2)
    measured = measure_latency(network, 3, (8, 8), batch=2, repeats=9)
    assert 0 < measured.lower <= measured.median <= measured.upper
    assert (measured.n, measured.batch, measured.device) == (9, 2, "cpu")
    assert measured.threads == torch.get_num_threads()
    assert str(Latency(21.41, 21.0, 22.26, 30, 1, "cpu", 2)) == (
        "21.4 ms, quartiles 21 to 22.3, n 30, batch 1, cpu, 2 threads"
    )
    assert measure_latency(network, 3, (8, 8), seconds=0).n == 3, "no more than there is time for, but three"
