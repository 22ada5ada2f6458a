"""Ray Train's workers: what each of them gets of the machines, and the trainer that starts them, beside the driver.

share = shared_out(Workers(8), cluster())
fit = Fit(task, Workers(8), share, storage)
while not fit.ended(0.25): ...

How a batch can be divided among workers, checked before anything is read.

>>> Workers(5).check(96)                # UserError: … Hint: --set retrain.batch_size=95
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pcdarts_tune.cluster.resources import Cluster, Share, share_resources
from pcdarts_tune.errors import UserError
from pcdarts_tune.tasks import Workers
from pcdarts_tune.training.workers.worker import Task, train_worker


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
                num_workers=workers.processes, use_gpu=share.gpus > 0, resources_per_worker=resources
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
    gpus = found.gpus >= 1 if workers.device == "auto" else workers.device == "cuda"
    kind, have = ("GPU", int(found.gpus)) if gpus else ("core", int(found.cpus))
    if have >= workers.processes:
        share = share_resources(found, trials=workers.processes, cpus=None, gpus=float(gpus), most=None)
        if share.concurrent >= workers.processes:
            return share
    there = f"there {'is' if have == 1 else 'are'} {have}"
    raise UserError(
        f"--workers {workers.processes} needs a {kind} for each, and {there}",
        hint=f"--workers {max(1, have)}"
        + (", or --device cpu" if gpus else ", or --address of a larger cluster"),
    )


if TYPE_CHECKING:
    pass
