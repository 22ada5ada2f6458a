"""What a run of a sweep has before it and writes down late, on a real study and a real MLflow store; without Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import sweep_lock
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import trials_left
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.sweeps.tracker import deliver_late, tracker_of
from pcdarts_tune.sweeps.trials.log import TrialLog, write_failure
from pcdarts_tune.tasks import Outcome

TUNE: dict[str, Any] = {"search.learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True}}
DATA = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}


def made(home: Path, trials: int) -> SweepHandle:
    return create_sweep(home, "s", Space(name="table", tune=TUNE), SweepSettings(), trials=trials, data=DATA)


def test_trials_that_are_left(tmp_path: Path) -> None:
    sweep = made(tmp_path, 5)
    assert trials_left(sweep) == 5
    for _ in range(3):
        sweep.study.ask(5)
    sweep.study.start(0)
    sweep.study.start(1)
    assert trials_left(sweep) == 5, "none has ended"
    sweep.study.tell(0, Outcome("failed", reason="out of memory"))
    assert trials_left(sweep) == 4, "one runs, one waits, two were not asked for"
    for number in (1, 2):
        sweep.study.tell(number, Outcome("complete", objective=0.5))
    assert trials_left(sweep) == 2
    sweep.study.note("target", 3)
    assert trials_left(sweep) == 0


def test_a_sweep_that_another_driver_is_making_is_not_made(tmp_path: Path) -> None:
    sweep = made(tmp_path, 1)
    sweep.folder.record_file.unlink()  # not made yet
    study = (sweep.folder.path / "study.db").read_bytes()
    with sweep_lock(sweep.folder), pytest.raises(UserError, match=r"'s' is already being run, by process"):
        made(tmp_path, 2)
    assert (sweep.folder.path / "study.db").read_bytes() == study
    assert made(tmp_path, 2).target == 2


def test_a_failed_trial_s_epochs_reach_mlflow_late(tmp_path: Path) -> None:
    sweep = made(tmp_path, 1)
    number = sweep.study.ask(1).number
    sweep.study.start(number)
    log = TrialLog(sweep.folder.trial(number))
    for epoch in range(2):
        metrics = {"search/loss_train": 1.0 / (epoch + 1)}
        record = {"kind": "epoch", "stage": "search", "epoch": epoch, "epochs": 3, "metrics": metrics}
        log.add(record)
    log.flush()
    # its process is lost for good while MLflow is away
    failed = Outcome("failed", reason="its process was lost")
    write_failure(sweep.folder.trial(number), failed)
    sweep.study.tell(number, failed)

    tracker = tracker_of(sweep)
    tracker.open()
    deliver_late(sweep, tracker)
    assert tracker.close("FINISHED", "") == 0
    client = MlflowClient(sweep.tracking_uri)
    run = client.get_run(sweep.study.notes()["run/0"])
    assert run.info.status == "FAILED"
    losses = client.get_metric_history(run.info.run_id, "search/loss_train")
    assert [(entry.step, entry.value) for entry in losses] == [(0, 1.0), (1, 0.5)]


def test_what_runs_a_sweep_does_not_import_ray_before_its_environment_is_set() -> None:
    code = (
        "import sys\n"
        "import pcdarts_tune.sweeps.runner, pcdarts_tune.sweeps.launch, pcdarts_tune.training.retraining\n"
        "import pcdarts_tune.training.workers.driver, pcdarts_tune.cluster.session, pcdarts_tune.planning.plan\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
