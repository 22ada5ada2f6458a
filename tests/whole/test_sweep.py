"""Sweeps for real: Ray runs them, MLflow's store is read back, files are looked at on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.s3 import s3_server
from support.soaking.environment import fresh

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_lock
from pcdarts_tune.planning.plan import draw_proposals
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings, run_sweep
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.tasks import Outcome, TrialTask

TUNE: dict[str, Any] = {
    "supernet.k": {"type": "categorical", "choices": [1, 2, 4, 8]},
    "search.learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
}
DATA = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}


def lookup(task: TrialTask, data: Any, report: Any) -> Outcome:
    """A trial that looks its result up; its settings say what else befalls it."""
    genotype = PUBLISHED["PC_DARTS_cifar"]
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(3):
        loss = {"search/loss_train": 1 / (epoch + 1)}
        report({"kind": "epoch", "stage": "search", "epoch": epoch, "epochs": 3, "metrics": loss})
        if data == "slow":
            time.sleep(1)
    if task.proposal.hyperparameters["supernet.k"] == 8:
        raise ValueError("K=8 is in no table")
    if data == "lost once" and task.proposal.number == 1 and not (folder / "lost").exists():
        (folder / "lost").touch()
        os._exit(1)
    if data == "always lost" and task.proposal.number == 0:
        os._exit(1)
    if data == "defect" and task.proposal.number == 0:
        raise RuntimeError("a defect in the trial")
    cost = {"params": 10, "macs": 20, "genotype_hash": genotype.canonical_hash()}
    report({"kind": "derived", "genotype": genotype.to_dict(), **cost})
    objective = 1 - task.proposal.hyperparameters["search.learning_rate"] / 2
    return Outcome("complete", objective=objective, genotype=genotype.to_dict(), seconds=0.1, **cost)


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """One Ray for all tests here; they find it running."""
    import ray

    with ray_running(address=None):
        # workers cannot import a test module: this one's functions travel by value
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield


def made(home: Path, name: str = "s", trials: int = 4, **settings: Any) -> SweepHandle:
    space = Space(name="table", tune=TUNE)
    return create_sweep(home, name, space, SweepSettings(**settings), trials=trials, data=DATA)


def runs_of(sweep: SweepHandle) -> dict[str, Any]:
    client = MlflowClient(sweep.tracking_uri)
    experiment = client.get_experiment_by_name(sweep.experiment)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`pcdarts.kind` = 'trial'")
    by_trial = {run.data.tags["pcdarts.trial"]: run for run in found}
    assert len(by_trial) == len(found), "one run a trial"
    return by_trial


def assert_undoubled(sweep: SweepHandle) -> None:
    client = MlflowClient(sweep.tracking_uri)
    for run in runs_of(sweep).values():
        for metric in run.data.metrics:
            steps = [entry.step for entry in client.get_metric_history(run.info.run_id, metric)]
            assert len(steps) == len(set(steps)), f"{metric} of {run.info.run_name} doubled"


QUIET = RunSettings(quiet=True)


def test_a_sweep_leaves_study_runs_and_leaderboard(tmp_path: Path) -> None:
    sweep = made(tmp_path, trials=6, seed=3)
    ended = run_sweep(sweep, QUIET, function=lookup)
    assert (ended.reason, ended.undelivered) == ("done", 0)
    records = open_sweep(Where(tmp_path), "s").records()
    assert sorted(record.trial for record in records) == list(range(6))
    complete = [record for record in records if record.state == "complete"]
    failed = [record for record in records if record.state == "failed"]
    assert len(complete) + len(failed) == 6
    assert [r.objective for r in complete] == sorted((r.objective for r in complete), reverse=True)
    assert all(record.hyperparameters["supernet.k"] == 8 for record in failed)
    assert all(record.reason == "K=8 is in no table" for record in failed)
    for record in failed:
        result = read_result(sweep.folder.trial(record.trial))
        assert result is not None
        assert result["outcome"]["reason"] == record.reason

    runs = runs_of(sweep)
    for record in records:
        run = runs[str(record.trial)]
        assert run.info.run_id == record.run_id
        assert run.data.metrics.get("objective") == record.objective
        assert run.info.status == ("FINISHED" if record.state == "complete" else "FAILED")
    parent = MlflowClient(sweep.tracking_uri).get_run(runs["0"].data.tags["mlflow.parentRunId"])
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "s")
    assert_undoubled(sweep)
    assert sweep.best() == records[0] == sweep.record(records[0].trial)
    assert sweep.record_of_run(str(records[0].run_id)[:12]) == records[0]


def test_a_lost_process_starts_again_and_a_trial_that_is_always_lost_fails_alone(tmp_path: Path) -> None:
    once = made(tmp_path, "once", trials=2)
    run_sweep(once, QUIET, function=lookup, data="lost once")
    assert (once.folder.trial(1) / "lost").exists() or once.record(1).hyperparameters["supernet.k"] == 8
    assert {record.state for record in once.records()} <= {"complete", "failed"}
    assert_undoubled(once)

    always = made(tmp_path, "always", trials=2, max_failures=1)
    run_sweep(always, QUIET, function=lookup, data="always lost")
    lost = always.record(0)
    assert lost.state == "failed"
    assert "died" in (lost.reason or "").lower() or "2 times" in (lost.reason or "")
    assert len(always.records()) == 2
    result = read_result(always.folder.trial(0))
    assert result is not None
    assert result["outcome"]["reason"] == lost.reason

    defect = made(tmp_path, "defect", trials=2, max_failures=0)
    run_sweep(defect, QUIET, function=lookup, data="defect")
    assert "a defect in the trial" in (defect.record(0).reason or "")


def kept(task: TrialTask, data: dict[str, str], report: Any) -> Outcome:
    """A trial that keeps checkpoints; number 1 is lost after its second epoch."""
    from pcdarts_tune.sweeps.trials.log import TrialLog

    os.environ.update(data)
    with TrialLog(task.folder, report) as log:
        done = len(log.history)
        for epoch in range(done, 3):
            loss = {"search/loss_train": 1 / (epoch + 1)}
            log.add({"kind": "epoch", "stage": "search", "epoch": epoch, "epochs": 3, "metrics": loss})
            if task.proposal.number == 1 and epoch == 1 and not done:
                log.flush()
                os._exit(1)
        outcome = Outcome("complete", objective=0.5, genotype=PUBLISHED["PC_DARTS_cifar"].to_dict())
        log.finish(outcome)
    return outcome


def test_a_sweep_keeps_its_trials_in_an_object_store(tmp_path: Path) -> None:
    with s3_server() as address:
        sweep = made(tmp_path, trials=2, storage=address)
        credentials = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        assert run_sweep(sweep, QUIET, function=kept, data=credentials).reason == "done"
        again = open_sweep(Where(tmp_path), "s")
        assert [record.state for record in again.records()] == ["complete"] * 2
        assert again.settings.storage == sweep.settings.storage
        for number in (0, 1):
            result = read_result(again.folder.trial_address(number))
            assert result is not None
            assert [record["epoch"] for record in result["history"]] == [0, 1, 2]
    assert not (again.folder.path / "trials").exists()
    assert_undoubled(again)
    client = MlflowClient(again.tracking_uri)
    for run in runs_of(again).values():
        losses = client.get_metric_history(run.info.run_id, "search/loss_train")
        assert [(entry.step, entry.value) for entry in losses] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_a_spent_time_budget_is_resumed_and_extended(tmp_path: Path) -> None:
    from pcdarts_tune.sweeps.launch import extend

    sweep = made(tmp_path, trials=4)
    ended = run_sweep(sweep, RunSettings(quiet=True, time_budget=8, most=1), function=lookup, data="slow")
    assert ended.reason == "time budget"
    before = sweep.records()
    # where the first trial takes the whole budget to start, there is none
    assert sum(record.state in ("complete", "failed") for record in before) < 4
    for record in before:
        its_end = "failed" if record.hyperparameters["supernet.k"] == 8 else "complete"
        assert record.state in (its_end, "waiting")
    again = open_sweep(Where(tmp_path), "s")
    assert run_sweep(again, QUIET, function=lookup).reason == "done"
    after = {record.trial: record for record in again.records()}
    assert sorted(after) == [0, 1, 2, 3]
    for record in before:
        assert after[record.trial].hyperparameters == record.hyperparameters
        assert after[record.trial].run_id == record.run_id
    assert_undoubled(again)
    extend(again, True, 2)
    assert run_sweep(open_sweep(Where(tmp_path), "s"), QUIET, function=lookup).reason == "done"
    assert sorted(record.trial for record in again.records()) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="has 6 trials already"):
        extend(again, False, 6)


AIMS: dict[str, Any] = {
    "objectives": ("accuracy", "macs"),
    "constraints": {"max_macs": 500},
    "stopping": {"halving": {"rungs": (1,), "min_trials": 2}},
    "evaluation": {"epochs": 4},
}


def with_rungs(task: TrialTask, data: Any, report: Any) -> Outcome:
    """A trial that looks up its size, which may be too large, and its accuracy, which is compared at a rung; the first that
    is told to stop there is killed before it can say so."""
    genotype = PUBLISHED["PC_DARTS_cifar"]
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rate = task.proposal.hyperparameters["search.learning_rate"]
    macs = int(1000 * rate)
    cost = {"params": 10, "macs": macs, "genotype_hash": genotype.canonical_hash()}
    found = {"genotype": genotype.to_dict(), **cost, "constraints": {"macs": macs / 500 - 1}}
    report({"kind": "derived", **found})
    if macs > 500:
        return Outcome("pruned", reason=f"{macs} multiply-adds", **found)
    for epoch in range(4):
        metrics = {"evaluation/acc_held_out": rate}
        record = {
            "kind": "epoch",
            "stage": "evaluation",
            "epoch": epoch,
            "epochs": 4,
            "metrics": metrics,
            "accuracy": rate,
        }
        if epoch == 0:
            record["rung"] = {"epochs": 1, "values": {"accuracy": rate, "macs": macs}}
        kept = folder / "kept"
        again = epoch == 0 and kept.exists()
        stop = report({"kind": "history", "records": [record]} if again else record)
        if stop is not None and not again and data is not None and not (Path(data) / "killed").exists():
            kept.touch()
            (Path(data) / "killed").touch()
            os._exit(1)
        if stop is not None:
            (folder / "epochs").write_text(str(epoch + 1))
            return Outcome("pruned", reason=stop, **found)
    return Outcome("complete", objective=rate, **found)


def test_rungs_limits_and_a_pareto_front_through_ray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = Space.model_validate({"name": "table", "tune": TUNE, **AIMS})
    sweep = create_sweep(tmp_path, "aims", space, SweepSettings(sampler="random"), trials=14, data=DATA)
    run_sweep(sweep, RunSettings(quiet=True, most=2), function=with_rungs, data=str(tmp_path))
    again = open_sweep(Where(tmp_path), "aims")
    records = {record.trial: record for record in again.records()}
    assert len(records) == 14
    assert {record.state for record in records.values()} == {"complete", "pruned"}
    large = [record for record in records.values() if record.macs and record.macs > 500]
    stopped = [record for record in records.values() if record.rungs and record.state == "pruned"]
    assert large
    assert all(
        record.state == "pruned" and record.constraints["macs"] > 0 and not record.rungs for record in large
    )
    assert stopped
    assert (tmp_path / "killed").exists(), "the process of one that was stopped is lost"
    for record in stopped:
        assert "after 1 of 4 epochs of the evaluation: place" in (record.reason or "")
        assert (again.folder.trial(record.trial) / "epochs").read_text() == "1", "not an epoch more"
    # the driver's decisions, in the study, are those the trials followed
    complete = [record for record in again.records() if record.state == "complete"]
    assert all(list(record.rungs) == ["1"] for record in complete)
    # here accuracy and cost rise together: all that is complete is on the front, the most accurate first
    assert all(record.pareto for record in complete)
    assert again.best().objective == max(record.objective or 0 for record in complete)
    runs = runs_of(again)
    for record in stopped + large:
        tags = runs[str(record.trial)].data.tags
        assert (tags["pcdarts.outcome"], tags["pcdarts.reason"]) == ("pruned", record.reason)
    assert_undoubled(again)
    assert command_line(["leaderboard", "aims", "--home", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "Pareto" in table
    assert "place" in table
    assert command_line(["leaderboard", "aims", "--json", "--home", str(tmp_path)]) == 0
    board = json.loads(capsys.readouterr().out)
    assert board[0]["pareto"] is True
    assert board[0]["objectives"] == {"accuracy": board[0]["objective"], "macs": board[0]["macs"]}


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    sweep = made(tmp_path)
    with sweep_lock(sweep.folder), pytest.raises(UserError, match="already being run, by process"):
        run_sweep(sweep, QUIET, function=lookup)


def test_what_fits_nowhere_is_refused_at_once(tmp_path: Path) -> None:
    sweep = made(tmp_path)
    with pytest.raises(UserError, match="fits on no node"):
        run_sweep(sweep, RunSettings(quiet=True, cpus=1000), function=lookup)
    assert sweep.records() == []


SMALL = [
    *("--set", "search.epochs=2", "--set", "search.arch_warmup_epochs=1", "--set", "supernet.channels=4"),
    *("--set", "evaluation.epochs=2", "--set", "evaluation.channels=4", "--set", "search.batch_size=64"),
]


def test_the_command_line_on_real_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path)]
    sweep = ["sweep", "--space", "quickstart", "--name", "tiny", *SMALL, *home]
    assert command_line([*sweep, "--trials", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    board = json.loads(out)
    assert [entry["state"] for entry in board] == ["complete", "complete"]
    assert all(0 <= entry["objective"] <= 1 and entry["params"] > 0 < entry["macs"] for entry in board)
    assert "trial 1: accuracy" in err
    assert "next: pcdarts-tune promote tiny" in err

    folder = tmp_path / "sweeps" / "tiny"
    for number in (0, 1):
        left = sorted(path.name for path in (folder / "trials" / str(number)).iterdir())
        assert left == ["genotype.json", "result.json"]
    handle = open_sweep(Where(tmp_path), "tiny")
    for run in runs_of(handle).values():
        for metric in (
            "search/acc_train",
            "evaluation/acc_held_out",
            "arch/skip_connections",
            "system/search_memory_gb",
        ):
            assert metric in run.data.metrics
    assert_undoubled(handle)

    asked = {record.trial: record.hyperparameters for record in handle.records()}
    planned = {
        proposal.number: proposal.hyperparameters
        for proposal in draw_proposals(handle.space, handle.settings, 2)
    }
    assert planned == asked, "what --plan draws is what the sweep then ran"

    assert command_line([*sweep, "--trials", "2"]) == 2, "the name is taken"
    said = capsys.readouterr().err
    assert "resume tiny" in said
    assert "extend tiny" in said
    assert command_line(["extend", "tiny", "--trials", "+1", "-q", *home]) == 0
    capsys.readouterr()
    assert command_line(["leaderboard", "tiny", "--json", *home]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert command_line(["leaderboard", "tiny", *home]) == 0
    assert "complete" in capsys.readouterr().out
    assert command_line(["status", "tiny", "--json", *home]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["states"], status["running"], status["trials"]) == ({"complete": 3}, False, 3)
    assert command_line(["status", "tinny", *home]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_a_space_that_holds_nothing_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["sweep", "--space", "cifar10_paper", "--home", str(tmp_path)]) == 2
    assert "holds no images out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_once_stops_cleanly_and_resume_ends_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pcdarts_tune",
        "sweep",
        "--space",
        "quickstart",
        "--name",
        "cut",
        *SMALL,
    ]
    command += ["--trials", "3", "--max-concurrent", "1", "--cpus-per-trial", "1", "--home", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=fresh()) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "trial 1: starts" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130, "".join(said)
    assert "resume cut" in "".join(said)
    sweep = open_sweep(Where(tmp_path), "cut")
    states = {record.trial: record.state for record in sweep.records()}
    assert states[0] == "complete"
    assert states[1] == "waiting"
    assert command_line(["resume", "cut", "-q", "--home", str(tmp_path)]) == 0
    again = open_sweep(Where(tmp_path), "cut")
    assert [record.state for record in again.records()] == ["complete"] * 3
    assert_undoubled(again)
