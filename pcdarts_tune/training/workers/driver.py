"""A retraining computed by Ray Train's workers, followed from here as if it ran here.

    epochs = ByWorkers(training, checkpoint, work, Workers(2), epoch_record)
    for entry in epochs:            # the epochs that are left, as they are reported
        ...
    training.network                # trained: what the workers left in the checkpoint

`training` is built here, on the CPU, and computes nothing: it says whether a checkpoint fits, and takes the result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.cluster.resources import cluster
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.say import say
from pcdarts_tune.tasks import Workers
from pcdarts_tune.training.journal import CheckpointStorage, Resumable
from pcdarts_tune.training.workers.fitting import Fit, shared_out
from pcdarts_tune.training.workers.worker import INTERRUPTED, News, Task, Trouble, open_desk

if TYPE_CHECKING:
    from pcdarts_tune.core.epochs import TrainEpoch
    from pcdarts_tune.core.retrain import Training
    from pcdarts_tune.training.work import Retraining

ASKED_EVERY = 0.25
"""Seconds between two looks at what the workers reported."""
ENDS_WITHIN = 20.0
"""Seconds that workers have to end after one said that it cannot go on."""


def vessel(work: Retraining) -> Training:
    """The training as the driver has it, which only takes a state: on the CPU, as any CPU can."""
    import torch

    from pcdarts_tune.tasks import DEFAULTS

    return replace(work, execution=DEFAULTS).build(torch.device("cpu"))


class ByWorkers(Resumable):
    """A retraining that workers compute.

    Args:
        job: the training, which takes the result.
    """

    def __init__(
        self,
        job: Training,
        checkpoint: Path,
        work: Retraining,
        workers: Workers,
        record: Callable[[TrainEpoch], dict[str, Any]],
        *,
        quiet: bool = False,
    ) -> None:
        super().__init__(job, CheckpointStorage.in_file(checkpoint), work.recipe, record)
        self.work, self.workers, self.quiet = work, workers, quiet
        self.place = checkpoint

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Have the epochs that are left computed; what workers that are lost did twice comes once.

        Raises:
            UserError: when there are no such workers to be had, or the input is wrong.
            NonFiniteLoss: when the training diverges.
            WorkFailed: when workers were lost too often.
        """
        epochs = self.work.space.retrain.epochs
        if len(self.history) < epochs:
            for entry in _followed(self.work, self.workers, self.place, len(self.history), self.quiet):
                self.history.append(entry)
                yield entry
            self.restore()
        if len(self.history) < epochs:
            raise WorkFailed(
                f"the workers ended after {len(self.history)} of {epochs} epochs", hint="run it again"
            )


def _followed(
    work: Retraining, workers: Workers, checkpoint: Path, epoch: int, quiet: bool
) -> Iterator[dict[str, Any]]:
    from pcdarts_tune.cluster.session import ray_running
    from pcdarts_tune.cluster.shipping import pack, size

    packed = pack(work.images)
    with (
        tempfile.TemporaryDirectory(prefix="pcdarts-tune-ray-", ignore_cleanup_errors=True) as storage,
        ray_running(address=workers.address, data_bytes=size(packed)),
    ):
        import ray

        share = shared_out(workers, cluster())
        if not quiet:
            what = "worker" if workers.processes == 1 else "workers"
            gpus = " and a GPU" if share.gpus else ""
            say(f"{workers.processes} {what}, each with {share.cpus:g} CPU{gpus}")
        desk = open_desk(checkpoint)
        # the images travel by Ray's object store, once to each node
        initial = None if work.initial is None else work.initial.to_travel()
        bare: Any = replace(work, images=None, initial=initial)  # type: ignore[arg-type]
        fit = Fit(Task(bare, ray.put(packed), desk, share.threads), workers, share, storage)
        try:
            yield from _reported(fit, desk, epoch, workers, quiet)
        finally:
            with suppress(Exception):  # workers of a Ray that goes on end with their epoch
                desk.fail.remote(INTERRUPTED)


def _reported(fit: Fit, desk: Any, epoch: int, workers: Workers, quiet: bool) -> Iterator[dict[str, Any]]:
    import ray

    starts, notes = 1, 0
    while True:
        ended = fit.ended(ASKED_EVERY)  # asked first: what was reported before the end is read after it
        news: News = ray.get(desk.news.remote(epoch, notes))
        notes += len(news.notes)
        for note in news.notes:
            say(f"note: {note}")
        if news.starts > starts:
            starts = news.starts
            if not quiet:
                say(
                    f"a worker was lost; all go on from the checkpoint ({starts - 1} of {workers.max_failures})"
                )
        for entry in news.entries:
            epoch += 1
            yield entry
        if news.trouble is not None:
            fit.ended(ENDS_WITHIN)  # else Ray is shut down under its thread
            raise _raised(news.trouble)
        if ended:
            if fit.error is not None:
                raise WorkFailed(
                    f"the workers could not go on: {_first_line(fit.error)}",
                    hint="run it again: it goes on from the checkpoint; the logs are in /tmp/ray/session_latest/logs",
                ) from fit.error
            return


def _raised(trouble: Trouble) -> Exception:
    from pcdarts_tune.core.steps.meter import NonFiniteLoss

    if trouble.kind == NonFiniteLoss.__name__:
        return NonFiniteLoss(trouble.message)
    if trouble.kind in ("UserError", "ValueError", "CompileFailed"):
        return UserError(trouble.message, hint=trouble.hint)
    if trouble.errno is not None:
        return OSError(trouble.errno, trouble.message.partition("] ")[2] or trouble.message)
    return WorkFailed(f"a worker failed: {trouble.kind}: {trouble.message}", hint=trouble.hint)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__
