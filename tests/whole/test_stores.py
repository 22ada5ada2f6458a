"""Sweeps whose MLflow server goes away, whose disk is full, that have many trials: Ray runs them, the stores are real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from mlflow import MlflowClient
from support.compare import differences
from support.disks import half_written, kept_full, small_disk
from support.lookup import Table, drawn_rows, lookup_made, lookup_trial, travels_by_value
from support.servers import MlflowServer, mlflow_server
from support.soaking.environment import fresh

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.errors import WorkFailed
from pcdarts_tune.home import Where
from pcdarts_tune.say import Progress
from pcdarts_tune.sweeps import runner
from pcdarts_tune.sweeps import tracker as sweep_tracking
from pcdarts_tune.sweeps.runner import Ended, RunSettings, run_sweep
from pcdarts_tune.sweeps.runs import TrialPictures
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tracking import run as mlflow_run
from pcdarts_tune.tracking.outbox import Outbox

QUIET = RunSettings(quiet=True)


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """One Ray for all tests here; they find it running."""
    with ray_running(address=None):
        travels_by_value()
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(f"sqlite:///{folder}/mlflow.db", folder) as running:
        yield running


def looked_up(
    sweep: SweepHandle,
    seconds: float = 0.0,
    at_end: Callable[[int], None] | None = None,
    *,
    alphas: bool = False,
) -> Ended:
    """Run a sweep of lookups; `at_end` is told each trial that has ended. Pictures of alphas take a while to draw."""
    if at_end is not None:
        tell = sweep.study.tell

        def told(number: int, *rest: Any) -> bool:
            first = tell(number, *rest)
            at_end(number)
            return first

        sweep.study.tell = told  # type: ignore[method-assign]
    table = Table(drawn_rows(200), (2, 1), seconds, alphas)
    return run_sweep(sweep, QUIET, data=table, function=lookup_trial)


def states(sweep: SweepHandle) -> list[str]:
    return [record.state for record in sweep.records()]


def test_a_server_that_is_away_for_a_while_misses_nothing(server: MlflowServer, tmp_path: Path) -> None:
    sweep = lookup_made(tmp_path, 4, tracking_uri=server.url)

    def outage(number: int) -> None:
        if number == 1:
            server.stop()
            threading.Timer(2.0, server.start).start()

    ended = looked_up(sweep, 0.1, outage, alphas=True)
    assert (ended.reason, ended.undelivered) == ("done", 0)
    again = open_sweep(Where(tmp_path), "lookup")
    assert states(again) == ["complete"] * 4
    assert differences(again) == []


def test_a_driver_that_dies_while_the_server_is_away_loses_nothing(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the outage, resumed in the outage, ended in the outage: then the server comes back."""
    lookup = Path(lookup_made.__code__.co_filename)
    command = [sys.executable, str(lookup), "--home", str(tmp_path), "--trials", "5"]
    command += ["--seconds", "0.2", "--no-alphas"]
    with subprocess.Popen(
        [*command, "--tracking-uri", server.url],
        stderr=subprocess.PIPE,
        text=True,
        env=fresh(),
        start_new_session=True,
    ) as driver:
        assert driver.stderr is not None
        for line in driver.stderr:
            if ": accuracy" in line:
                server.stop()
            if line.startswith("trial 3: starts"):
                break
        os.killpg(driver.pid, signal.SIGKILL)
    # few records are kept in memory for a server that is away
    monkeypatch.setattr(sweep_tracking, "WAITING", 4)
    monkeypatch.setattr(runner, "DELIVERED_WITHIN", 1.0)
    sweep = open_sweep(Where(tmp_path), "lookup")
    ended = looked_up(sweep)
    assert ended.reason == "done"
    assert ended.undelivered > 0
    assert states(sweep) == ["complete"] * 5
    server.start()
    monkeypatch.undo()
    late = looked_up(open_sweep(Where(tmp_path), "lookup"))
    assert (late.reason, late.undelivered) == ("done", 0)
    assert differences(open_sweep(Where(tmp_path), "lookup")) == []


@pytest.mark.parametrize("what", ["retrain", "search"])
def test_a_training_whose_server_goes_away_ends_and_is_delivered_later(
    tmp_path: Path, server: MlflowServer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(mlflow_run, "DELIVERED_WITHIN", 2.0)
    update, output, stops = Progress.update, tmp_path / "out", iter([server.stop])
    words = [what, *(["PC_DARTS_cifar"] if what == "retrain" else ["--track"]), "--space", "quickstart"]
    settings = ["epochs=3", "layers=3", "channels=4"]
    if what == "search":
        settings = [
            "search.epochs=3",
            "search.arch_warmup_epochs=1",
            "supernet.layers=3",
            "supernet.channels=4",
        ]
    words += [word for each in settings for word in ("--set", each if "." in each else f"retrain.{each}")]
    words += ["--device", "cpu", "--home", str(tmp_path), "--tracking-uri", server.url, "-o", str(output)]

    def updated(self: Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        if done == 2 and note:
            for stop in stops:
                stop()

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "update", updated)
        assert command_line(words) == 1
    assert output.exists(), "what was trained is there"
    assert output.with_name("out.checkpoint").exists(), "and its epochs"
    server.start()
    assert command_line(words) == 0
    assert not output.with_name("out.checkpoint").exists()
    client = MlflowClient(server.url)
    kind = "retraining" if what == "retrain" else "search"
    (run,) = client.search_runs(
        [each.experiment_id for each in client.search_experiments()], f"tags.`pcdarts.kind` = '{kind}'"
    )
    assert run.info.status == "FINISHED"
    for key in run.data.metrics:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, key)]
        assert len(steps) == len(set(steps)), f"{key} is doubled"
    losses = client.get_metric_history(run.info.run_id, f"{what}/loss_train")
    assert [point.step for point in losses] == [0, 1, 2]


def test_a_full_disk_stops_the_sweep_and_resume_ends_it(tmp_path: Path) -> None:
    try:
        mounted = small_disk(tmp_path / "disk", 24)
        disk = mounted.__enter__()
    except OSError as error:
        pytest.skip(f"a small disk needs root: {error}")
    try:
        sweep = lookup_made(disk / "home", 4)
        with kept_full(disk) as begin, pytest.raises(WorkFailed, match="the disk is full") as stopped:
            looked_up(sweep, 0.1, lambda number: begin.set())
        assert stopped.value.exit_code == 1
        assert "pcdarts-tune resume lookup" in str(stopped.value.hint)
        assert half_written(disk / "home") == []
        again = open_sweep(Where(disk / "home"), "lookup")
        assert {"complete"} < set(states(again))
        assert "failed" not in states(again)
        assert looked_up(again) == Ended("done")
        assert states(open_sweep(Where(disk / "home"), "lookup")) == ["complete"] * 4
        assert differences(again) == []
    finally:
        mounted.__exit__(None, None, None)


class Operations:
    """Counts Python's calls inside of functions, by the trial that they are about."""

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}

    def counting(self, function: Callable[..., Any], about: Callable[..., int | None]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            calls = 0

            def count(frame: object, event: str, argument: object) -> None:
                nonlocal calls
                calls += event == "call"

            sys.setprofile(count)
            try:
                result = function(*args, **kwargs)
            finally:
                sys.setprofile(None)
            if (number := about(result, *args)) is not None:
                self.calls[number] = self.calls.get(number, 0) + calls
            return result

        return counted


def test_a_trial_costs_no_more_the_more_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver does for a trial in the study and in MLflow, counted: nothing may grow with their number."""
    trials, counts = 48, Operations()
    sweep = lookup_made(tmp_path, trials, sampler="random")
    study = sweep.study
    for name, about in {
        "ask": lambda proposal, *args: proposal.number,
        "start": lambda result, number: number,
        "tell": lambda result, number, outcome: number,
    }.items():
        monkeypatch.setattr(study, name, counts.counting(getattr(study, name), about))
    deliver = counts.counting(Outbox._deliver, lambda result, outbox, delivery, number: number)
    monkeypatch.setattr(Outbox, "_deliver", lambda *args: deliver(*args))
    monkeypatch.setattr(TrialPictures, "cells", lambda *args: None)  # as many calls as there are strokes
    assert looked_up(sweep) == Ended("done")
    early = median(counts.calls[number] for number in range(8, 20))
    late = median(counts.calls[number] for number in range(trials - 12, trials))
    # reading one run or trial of the others takes hundreds
    assert late - early < 50 * (trials - 20), f"{early:.0f} calls a trial become {late:.0f}"
