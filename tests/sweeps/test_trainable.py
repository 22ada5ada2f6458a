"""One real trial on the digits, without Ray: what it reports and leaves, and that stopping it anywhere
changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.trial_tasks import QUICK_TRIAL, Killed, killed_after, task, timeless

from pcdarts_tune.cluster.shipping import pack, unpack
from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.places import place_at
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.settings import apply
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.trials.log import EvaluationCache, read_result, write_failure
from pcdarts_tune.sweeps.trials.measures import system_metrics
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial
from pcdarts_tune.tasks import Outcome, TrialTask

SETTINGS = (*QUICK_TRIAL, "search.batch_size=64")


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space("quickstart", SETTINGS)


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


def test_a_trial_searches_derives_evaluates_and_leaves_its_result(
    space: Space, images: DataSet, tmp_path: Path
) -> None:
    records: list[dict[str, Any]] = []
    outcome = run_trial(task(space, tmp_path), images, records.append)
    kinds = [(record["kind"], record.get("stage"), record.get("epoch")) for record in records]
    assert kinds == [
        ("epoch", "search", 0),
        ("epoch", "search", 1),
        ("derived", None, None),
        ("epoch", "evaluation", 0),
        ("epoch", "evaluation", 1),
    ]
    assert json.loads(json.dumps(records)) == records, "plain values"
    assert outcome.state == "complete"
    assert outcome.objective == records[-1]["accuracy"], "the last epoch's, not the best"
    assert Genotype.from_dict(outcome.genotype or {}).canonical_hash() == outcome.genotype_hash
    assert outcome.params
    assert outcome.macs
    assert outcome.macs > outcome.params
    assert "search/acc_held_out" in outcome.metrics, (
        "the supernet's accuracy is kept, and optimised by nobody"
    )
    left = sorted(path.name for path in (tmp_path / "trial").iterdir())
    assert left == ["genotype.json", "result.json"], "no checkpoint of a trial that has ended"
    # started once more, it only says what it found
    again: list[dict[str, Any]] = []
    assert run_trial(task(space, tmp_path), images, again.append) == outcome
    assert again == [{"kind": "history", "records": records}]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_a_trial_stopped_anywhere_ends_bit_for_bit_as_an_undisturbed_one(
    space: Space, images: DataSet, tmp_path: Path, after: int
) -> None:
    undisturbed: list[dict[str, Any]] = []
    expected = run_trial(task(space, tmp_path / "a"), images, undisturbed.append)
    with pytest.raises(Killed):
        run_trial(task(space, tmp_path / "b"), images, killed_after(after))
    resumed: list[dict[str, Any]] = []
    outcome = run_trial(task(space, tmp_path / "b"), images, resumed.append)
    assert resumed[0]["kind"] == "history"
    # the record that was being reported is in the checkpoint already: none is lost between the two
    assert len(resumed[0]["records"]) >= after + 1
    assert timeless(resumed[0]["records"] + resumed[1:]) == timeless(undisturbed)
    assert (outcome.objective, outcome.genotype) == (expected.objective, expected.genotype)


def test_an_evaluated_genotype_is_not_trained_again(space: Space, images: DataSet, tmp_path: Path) -> None:
    first = run_trial(task(space, tmp_path), images, lambda record: None)
    records: list[dict[str, Any]] = []
    # the same search under another number finds the same genotype
    other = task(space, tmp_path, number=7, folder=str(tmp_path / "other"))
    outcome = run_trial(other, images, records.append)
    assert [record for record in records if record.get("stage") == "evaluation"] == []
    assert (outcome.objective, outcome.evaluation_from) == (first.objective, 0)
    assert outcome.metrics["evaluation/acc_held_out"] == first.objective
    # another recipe is another evaluation
    shorter = apply(space, {"evaluation.epochs": 1})
    run_trial(task(shorter, tmp_path, number=8, folder=str(tmp_path / "third")), images, records.append)
    assert [record["epochs"] for record in records if record.get("stage") == "evaluation"] == [1]


def test_the_trial_s_own_mistakes_end_it_alone(space: Space, images: DataSet, tmp_path: Path) -> None:
    def outcome_of(error: Exception) -> Outcome:
        def function(task: TrialTask, data: Any, report: Any) -> Outcome:
            raise error

        return run_or_fail(function, task(space, tmp_path / "said"), None, lambda record: None)

    assert outcome_of(ValueError("no such thing")).reason == "no such thing"
    assert outcome_of(ArithmeticError("the loss is NaN in epoch 3")).state == "failed"
    full = outcome_of(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")).reason or ""
    assert full.startswith("out of memory with K 2, batch 64, channels 4")
    assert "smaller batch" in full
    assert "out of memory" in (outcome_of(MemoryError()).reason or "")
    for said in (
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ):
        assert (outcome_of(RuntimeError(said)).reason or "").startswith("out of memory with")
    for error in (OSError(28, "No space left on device"), RuntimeError("a defect")):
        with pytest.raises(type(error)):
            outcome_of(error)
    # through the whole of it: K that does not divide the channels, a learning rate that explodes
    wrong = task(space, tmp_path / "wrong", hyperparameters={"supernet.k": 3})
    assert "k" in (run_or_fail(run_trial, wrong, images, lambda record: None).reason or "").lower()
    wild = task(
        space, tmp_path / "wild", hyperparameters={"search.learning_rate": 10.0, "search.grad_clip": 1e6}
    )
    exploded = run_or_fail(run_trial, wild, images, lambda record: None)
    assert exploded.state == "failed" or exploded.objective is not None


def test_a_failed_trial_leaves_what_it_reported_and_no_checkpoint(
    space: Space, images: DataSet, tmp_path: Path
) -> None:
    def full(task: TrialTask, data: Any, report: Any) -> Outcome:
        reported = 0

        def until(record: dict[str, Any]) -> None:
            nonlocal reported
            report(record)
            reported += 1
            if reported == 2:
                raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")

        return run_trial(task, data, until)

    records: list[dict[str, Any]] = []
    outcome = run_or_fail(full, task(space, tmp_path), images, records.append)
    assert outcome.state == "failed"
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["result.json"]
    result = read_result(tmp_path / "trial")
    assert result == {"outcome": outcome.to_dict(), "history": records}
    # it has ended: started once more, it only says what became of it
    again: list[dict[str, Any]] = []
    assert run_trial(task(space, tmp_path), images, again.append) == outcome
    assert again == [{"kind": "history", "records": records}]
    # a result is kept, and a folder that cannot be written to is no further failure
    write_failure(tmp_path / "trial", Outcome("failed", reason="something else"))
    assert read_result(tmp_path / "trial") == result
    (tmp_path / "file").touch()
    write_failure(tmp_path / "file", outcome)


def test_an_evaluation_that_cannot_be_read_is_unknown_and_written_anew(tmp_path: Path) -> None:
    known = {"trial": 3, "objective": 0.5, "metrics": {"evaluation/acc_held_out": 0.5}}
    cache, path = EvaluationCache(place_at(tmp_path), "cache.json"), tmp_path / "cache.json"
    assert cache.read() is None
    for text in (
        json.dumps(known)[:20],
        "",
        "[]",
        '{"trial": 3}',
        '{"trial": 3, "objective": NaN, "metrics": {}}',
    ):
        path.write_text(text)
        assert cache.read() is None, text
        cache.write(known)
        assert cache.read() == known
    path.write_bytes(b"\xff\xfe")
    assert cache.read() is None
    cache.write(known)
    cache.write({**known, "trial": 4})
    assert cache.read() == known, "the first stays"


def test_a_trial_without_a_gpu_measures_none() -> None:
    import torch

    before = torch.cuda.is_initialized()
    measured = system_metrics("search", torch.device("cpu"))
    assert "system/search_memory_gb" in measured
    assert not any("gpu" in name for name in measured)
    assert torch.cuda.is_initialized() == before


def test_a_number_that_cannot_be_had_ends_no_trial_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    import torch

    # a device that is on no machine: the driver and the management library both refuse
    measured = system_metrics("search", torch.device("cuda", 99))
    assert "system/search_memory_gb" in measured
    assert "system/search_gpu_percent" not in measured
    assert any("not recorded of the GPU: gpu_percent" in line for line in caplog.messages)


def test_a_data_set_travels_whole(images: DataSet) -> None:
    import torch

    arrived = unpack(pack(images))
    assert arrived.digest == images.digest
    assert arrived.classes == images.classes
    assert torch.equal(arrived.train_images, images.train_images)
    assert torch.equal(arrived.test_labels, images.test_labels)
    assert unpack(pack(None)) is None
