"""Ray Train's workers: what each of them gets of the machines, and the trainer that starts them, beside the driver.

share = shared_out(Workers(8), cluster())
fit = Fit(task, Workers(8), share, storage)
while not fit.ended(0.25): ...
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.distributed.worker import Task, train_worker
from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeping.resources import Cluster, Share, share_resources


@dataclass(frozen=True)
class Workers:
    """Who trains; none of it changes what is computed, but for the order of sums.

    Attributes:
        count: of processes.
        address: of a Ray cluster; None starts Ray here.
        gpus: one for each worker; None: where there are some.
        max_failures: how often the workers are started again after one was lost.
    """

    count: int
    address: str | None = None
    gpus: bool | None = None
    max_failures: int = 3


class Fit:
    """Ray Train's trainer in a thread of its own, so that this one can listen and be interrupted."""

    def __init__(self, task: Task, workers: Workers, share: Share, storage: str) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        resources = {"CPU": share.cpus, **({"GPU": share.gpus} if share.gpus else {})}
        trainer = TorchTrainer(
            train_worker,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(
                num_workers=workers.count, use_gpu=share.gpus > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name="retraining",
                storage_path=storage,
                failure_config=FailureConfig(max_failures=workers.max_failures),
            ),
        )
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(trainer,), name="ray-train", daemon=True)
        self._thread.start()

    def _run(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except Exception as error:
            self.error = error

    def ended(self, timeout: float) -> bool:
        """Whether all workers have ended, after waiting so many seconds at most."""
        self._thread.join(timeout)
        return not self._thread.is_alive()


def shared_out(workers: Workers, found: Cluster) -> Share:
    """What each worker gets: a GPU where there are some (or none is wanted), and its share of the cores.

    Raises:
        UserError: when there are fewer GPUs or cores than workers.
    """
    gpus = found.gpus >= 1 if workers.gpus is None else workers.gpus
    kind, have = ("GPU", int(found.gpus)) if gpus else ("core", int(found.cpus))
    if have >= workers.count:
        share = share_resources(found, trials=workers.count, cpus=None, gpus=float(gpus), most=None)
        if share.concurrent >= workers.count:
            return share
    there = f"there {'is' if have == 1 else 'are'} {have}"
    raise UserError(
        f"--workers {workers.count} needs a {kind} for each, and {there}",
        hint=f"--workers {max(1, have)}"
        + (", or --device cpu" if gpus else ", or --address of a larger cluster"),
    )
