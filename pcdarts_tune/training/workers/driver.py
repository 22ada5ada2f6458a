"""A retraining computed by Ray Train's workers, followed from here as if it ran here.

    for entry in (epochs := EpochsByWorkers(training, checkpoint, work, Workers(2))):   # as they are reported
        ...

`training` is built here, on the CPU, and computes nothing: it says whether a checkpoint fits, and takes the result.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.cluster.resources import Cluster, Share, read_cluster, share_resources
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.say import say
from pcdarts_tune.tasks import Workers
from pcdarts_tune.training.epochs import Resumable
from pcdarts_tune.training.journal import CheckpointStorage
from pcdarts_tune.training.workers.coordinator import start_coordinator
from pcdarts_tune.training.workers.worker import Task, train_worker

if TYPE_CHECKING:
    from pcdarts_tune.core.retrain import Training
    from pcdarts_tune.training.work import Retraining

ASKED_EVERY = 0.25
"""Seconds between two looks at what the workers reported."""
ENDS_WITHIN = 20.0
"""Seconds that workers have to end after one said that it cannot go on."""


class EpochsByWorkers(Resumable):
    """The epochs of a retraining that workers compute; `job`, the training, takes the result."""

    def __init__(
        self, job: Training, checkpoint: Path, work: Retraining, workers: Workers, *, quiet: bool = False
    ) -> None:
        super().__init__(job, CheckpointStorage.in_file(checkpoint), work.recipe, "retrain")
        self.work, self.workers, self.quiet = work, workers, quiet
        self.checkpoint = checkpoint

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Have the epochs that are left computed; what lost workers did twice comes once.

        Raises:
            UserError: there are no such workers to be had, or the input is wrong.
            NonFiniteLoss: the training diverges.
            WorkFailed: workers were lost too often.
        """
        epochs = self.work.space.retrain.epochs
        if len(self.history) < epochs:
            for entry in self._computed():
                self.history.append(entry)
                yield entry
            self.restore()
        if len(self.history) < epochs:
            raise WorkFailed(
                f"the workers ended after {len(self.history)} of {epochs} epochs", hint="run it again"
            )

    def _computed(self) -> Iterator[dict[str, Any]]:
        from pcdarts_tune.cluster.session import ray_running
        from pcdarts_tune.cluster.shipping import pack, packed_size

        work, workers = self.work, self.workers
        packed = pack(work.images)
        with (
            tempfile.TemporaryDirectory(prefix="pcdarts-tune-ray-", ignore_cleanup_errors=True) as storage,
            ray_running(address=workers.address, data_bytes=packed_size(packed)),
        ):
            import ray

            share = worker_share(workers, read_cluster())
            if not self.quiet:
                what = "worker" if workers.processes == 1 else "workers"
                gpus = " and a GPU" if share.gpus else ""
                say(f"{workers.processes} {what}, each with {share.cpus:g} CPU{gpus}")
                if share.remark is not None:
                    say(f"note: {share.remark.partition(';')[0]}")
            coordinator = start_coordinator(self.checkpoint)
            # the images travel by Ray's object store, once to each node
            initial = None if work.initial is None else work.initial.to_travel()
            bare: Any = replace(work, images=None, initial=initial)  # type: ignore[arg-type]
            named = plugins.records_of(work.genotype.to_dict(), work.space.model_dump(mode="json"))
            task = Task(bare, ray.put(packed), coordinator, share.threads, named)
            fit = _Fit(task, workers, share, storage)
            try:
                yield from self._reported(fit, coordinator)
            finally:
                with suppress(Exception):  # workers of a Ray that goes on end with their epoch
                    coordinator.fail.remote(KeyboardInterrupt())

    def _reported(self, fit: _Fit, coordinator: Any) -> Iterator[dict[str, Any]]:
        import ray

        epoch, read, starts, said = len(self.history), 0, 0, set[str]()
        while True:
            ended = fit.ended(ASKED_EVERY)  # asked first: what was reported before the end is read after it
            messages, error = ray.get(coordinator.news.remote(read))
            read += len(messages)
            for kind, value in messages:
                if kind == "epoch" and value[0] == epoch:
                    epoch += 1
                    yield value[1]
                elif (
                    kind == "note" and value[0] not in said
                ):  # a damaged file is named once, whoever found it
                    said.add(value[0])
                    say(f"note: {value[1]}")
                elif kind == "start":
                    starts += 1
                    if starts > 1 and not self.quiet:
                        lost = f"{starts - 1} of {self.workers.max_failures}"
                        say(f"a worker was lost; all go on from the checkpoint ({lost})")
            if error is not None:
                fit.ended(ENDS_WITHIN)  # else Ray is shut down under its thread
                raise error
            if ended:
                fit.require_success()
                return


class _Fit:
    """Ray Train's trainer in a thread of its own, so that this one can listen and be interrupted."""

    def __init__(self, task: Task, workers: Workers, share: Share, storage: str) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        resources = {"CPU": share.cpus, **({"GPU": share.gpus} if share.gpus else {})}
        self._trainer = TorchTrainer(
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
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="ray-train", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:
            self._error = error

    def ended(self, timeout: float) -> bool:
        """Whether all workers have ended, after waiting so many seconds at most."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def require_success(self) -> None:
        """Raise WorkFailed where Ray Train gave up."""
        if self._error is None:
            return
        lines = [line.strip() for line in str(self._error).splitlines() if line.strip()]
        reason = " ".join(lines[:2])[:300] or type(self._error).__name__
        raise WorkFailed(
            f"the workers could not go on: {reason}",
            hint="run it again: it goes on from the checkpoint; the logs are in /tmp/ray/session_latest/logs",
        ) from self._error


def worker_share(workers: Workers, found: Cluster) -> Share:
    """What each worker gets: a GPU where there are some (or none is wanted), and its share of the cores.

    Raises:
        UserError: there are fewer GPUs or cores than workers.
    """
    gpus = found.gpus >= 1 if workers.device == "auto" else workers.device == "cuda"
    kind, have = ("GPU", int(found.gpus)) if gpus else ("core", int(found.cpus))
    if have >= workers.processes:
        share = share_resources(found, trials=workers.processes, cpus=None, gpus=float(gpus), most=None)
        if share.concurrent >= workers.processes:
            return replace(share, chosen_threads=workers.threads)
    there = f"there {'is' if have == 1 else 'are'} {have}"
    raise UserError(
        f"--workers {workers.processes} needs a {kind} for each, and {there}",
        hint=f"--workers {max(1, have)}"
        + (", or --device cpu" if gpus else ", or --address of a larger cluster"),
    )
