"""What Ray runs: a trial, its reports on their way to the driver, and the driver's decision on its way back at a rung.

    trainable = tune.with_parameters(ray_trial, function=None, data=pack(images))

Ray lets a function go on only when the driver has dealt with its report and asked for the next; a thread waits for that in the
trial's place. A decision goes through Ray's own key-value store, whatever the storage, and is kept nowhere else than in the study
(`SweepStudy.decide_at_rung`): after a restart the trial reports its history, and is answered again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pcdarts_tune.core.steps.background import Background
from pcdarts_tune.sweeps.study.objectives import rungs_in
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial
from pcdarts_tune.tasks import CPUS, GPUS, TrialFunction, TrialTask

log = logging.getLogger(__name__)


class Reporter:
    """Passes records on.

    Args:
        send: gives a list of records, as JSON, to the driver; returns when it has them. What it raises (SystemExit, when
            the trial shall end) is raised by the next `put` or `flush`.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send_records = send
        self._waiting: list[str] = []
        self._background = Background("reports", daemon=True)

    def put(self, record: dict[str, Any]) -> None:
        """Report a record."""
        self._waiting.append(json.dumps(record))
        self._background.put(self._send)

    def flush(self) -> None:
        """Wait until the driver has every record."""
        self._background.flush()

    def _send(self) -> None:
        # a record that comes while these are sent has put in a job of its own
        taken = len(self._waiting)
        if taken:
            self._send_records(f"[{','.join(self._waiting[:taken])}]")
            del self._waiting[:taken]


PATIENCE = 10.0
"""Seconds to wait for an answer; without one the trial goes on, which costs time and loses nothing."""


def send_decision(folder: str, epochs: int, stop: str | None) -> None:
    """Say whether the trial in `folder` ends after `epochs` epochs of its evaluation, and why."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_key(folder, epochs), json.dumps({"stop": stop}).encode(), overwrite=True)


def wait_for_decision(folder: str, epochs: int) -> str | None:
    """Why the trial ends here; None when it goes on."""
    from ray.experimental.internal_kv import _internal_kv_get

    deadline = time.monotonic() + PATIENCE
    while True:
        said = _internal_kv_get(_key(folder, epochs))
        if said is not None:
            stop: str | None = json.loads(said)["stop"]
            return stop
        if time.monotonic() > deadline:
            log.warning("no answer at the rung after %d epochs of %s: it goes on", epochs, folder)
            return None
        time.sleep(0.05)


def _key(folder: str, epochs: int) -> bytes:
    return f"pcdarts-tune/rung/{folder}/{epochs}".encode()


def ray_trial(config: dict[str, Any], function: TrialFunction | None = None, data: Any = None) -> None:
    """The function that Ray Tune calls in a worker: `config["task"]` is a `TrialTask` as JSON."""
    from ray import tune

    from pcdarts_tune import plugins
    from pcdarts_tune.cluster.shipping import unpack

    # one string: Ray flattens, copies and keeps nested results
    reporter = Reporter(lambda records: tune.report({"records": records}))

    def report(record: dict[str, Any]) -> str | None:
        reporter.put(record)
        if not (reached := rungs_in(record)):
            return None
        reporter.flush()
        return wait_for_decision(task.folder, reached[-1]["epochs"])

    task = TrialTask.from_json(config["task"])
    plugins.declare(task.plugins)
    try:
        outcome = run_or_fail(function or run_trial, task, unpack(data), report)
        resources = {CPUS: float(task.threads), GPUS: float(task.gpus)}
        outcome = replace(outcome, metrics={**outcome.metrics, **resources})
        reporter.put({"kind": "outcome", **outcome.to_dict()})
    except BaseException:
        with suppress(BaseException):  # what went wrong first counts
            reporter.flush()
        raise
    reporter.flush()
