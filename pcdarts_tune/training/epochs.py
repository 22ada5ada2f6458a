"""Epochs of a search or a training that go on where they stopped, on their way to MLflow and to the person who waits.

epochs = Resumable(training, CheckpointStorage.in_file(folder / "checkpoint"), digest({"seed": 0}), "retrain")
for record in epochs:               # the epochs that are left
    ...
epochs.history[-1]                  # includes the epochs of the interrupted run
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.errors import LOOK_AT_THE_DISK, UserError
from pcdarts_tune.say import Progress
from pcdarts_tune.training.journal import UNREADABLE, CheckpointStorage, Journal, Record

if TYPE_CHECKING:
    from pcdarts_tune.core.epochs import SearchEpoch, TrainEpoch
    from pcdarts_tune.core.steps.meter import Scored
    from pcdarts_tune.tracking.run import EpochRun


def epoch_record(epoch: SearchEpoch | TrainEpoch, stage: str, execution: Mapping[str, str]) -> Record:
    """An epoch as plain values: what checkpoints keep, trials report and MLflow shows.

    Args:
        stage: prefix of the metrics of a training; `search` for a search.
        execution: `Search.execution()` or `Training.execution()`.

    Returns:
        `kind` (`epoch`), `stage`, `epoch`, `epochs`, `metrics`, `execution`; of a search also `genotype`, alphas and
        betas, softmaxed, as `alphas`, and where a perturbation made some, `decisions`; of a training the `accuracy` on
        held-out images, or None, `trained_images`, and what else is known of the held-out images as `held_out`, see
        `held_out_record`.
    """
    from pcdarts_tune.core.epochs import SearchEpoch

    record = {"kind": "epoch", "stage": stage, "epoch": epoch.epoch, "epochs": epoch.epochs}
    if isinstance(epoch, SearchEpoch):
        alphas = {f"alpha_{kind}": _rounded(values) for kind, values in epoch.alphas.items()}
        alphas |= {f"beta_{kind}": _rounded(values) for kind, values in epoch.betas.items()}
        record |= {"metrics": epoch.metrics(), "genotype": epoch.genotype.to_dict(), "alphas": alphas}
        if epoch.decisions:
            record["decisions"] = [decision.to_dict() for decision in epoch.decisions]
    else:
        record |= {"metrics": epoch.metrics(stage), "accuracy": epoch.valid_accuracy}
        record["trained_images"] = epoch.trained_images
        if epoch.scored is not None:
            record["held_out"] = held_out_record(epoch.scored, classes=epoch.epoch + 1 == epoch.epochs)
    return {**record, "execution": dict(execution)}


def held_out_record(scored: Scored, *, classes: bool) -> Record:
    """How sure the scores of an epoch are, as plain values: `images` (how many were scored), `loss_std` (over the images),
    `balanced_accuracy` and its standard error `balanced_error`, `majority` (the largest class's share of the images) and
    `classes`, how many have images; with `classes` also `by_class`: `[right, images]` of each."""
    record: Record = {
        "images": scored.count,
        "loss_std": scored.loss_std,
        "balanced_accuracy": scored.balanced_accuracy,
        "balanced_error": scored.balanced_error,
        "majority": scored.majority,
        "classes": sum(count > 0 for count in scored.images),
    }
    if classes:
        record["by_class"] = [list(pair) for pair in zip(scored.correct, scored.images, strict=True)]
    return record


def _rounded(values: Any) -> Any:
    """Five digits are enough to draw, and a fifth of the text."""
    if values is None:
        return None
    return [_rounded(value) if isinstance(value, tuple | list) else round(value, 5) for value in values]


class Job(Protocol):
    """A search or a training of the core: a generator of epochs whose whole state can be taken and put back."""

    def __iter__(self) -> Iterator[Any]: ...
    def execution(self) -> dict[str, str]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Resumable:
    """A job with its checkpoint; iterating runs the epochs that are left and gives their records.

    Args:
        job: computes the epochs.
        storage: where the checkpoint is kept; None keeps none.
        recipe: digest of everything that decides the result; a checkpoint of another recipe is refused.
        stage: prefix of the metrics, see `epoch_record`.
        extra: goes into every record.

    Raises:
        UserError: the checkpoint belongs to another recipe or cannot be read.
    """

    def __init__(
        self,
        job: Job,
        storage: CheckpointStorage | None,
        recipe: str,
        stage: str,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.job, self.recipe, self.stage, self.extra = job, recipe, stage, extra or {}
        self._storage, self._journal = storage, Journal(storage)
        self.restore()

    @property
    def history(self) -> list[Record]:
        """The records of all epochs so far."""
        return self._journal.records

    def __iter__(self) -> Iterator[Record]:
        """Run the epochs that are left; when this ends, however it ends, the last one is in the checkpoint.

        Raises:
            OSError: an earlier epoch's checkpoint could not be written.
        """
        try:
            for epoch in self.job:
                self.history.append(epoch_record(epoch, self.stage, self.job.execution()) | dict(self.extra))
                self._journal.save(lambda: {"recipe": self.recipe, "job": self.job.state_dict()})
                yield self.history[-1]
        except BaseException:
            with suppress(Exception):  # what went wrong first counts
                self._journal.flush()
            raise
        self._journal.flush()

    def restore(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self._storage is None:
            return
        name = self._storage.name
        advice = f"remove {Path(name).name} there to start anew, or choose another place with -o"
        try:
            if (saved := self._journal.restore()) is None:
                return
            recipe, state = saved["recipe"], saved["job"]
        except OSError as error:
            raise UserError(
                f"the checkpoint {name} cannot be read: {error}", hint=LOOK_AT_THE_DISK
            ) from error
        except UNREADABLE as error:
            raise UserError(f"the checkpoint {name} cannot be read: {error}", hint=advice) from error
        if recipe != self.recipe:
            raise UserError(
                f"{name} was left by another recipe, genotype, seed or data set, so this cannot go on from it",
                hint=advice,
            )
        try:
            self.job.load_state_dict(state)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the checkpoint {name} does not fit: {reason}", hint=advice) from error


def follow(
    epochs: Resumable,
    run: EpochRun | None,
    title: str,
    total: int,
    describe: Callable[[Mapping[str, float]], str],
    *,
    quiet: bool,
) -> None:
    """Run the epochs that are left, and log all of them; `describe` says an epoch by its metrics beside the `title`."""
    if run is not None:
        for step, record in enumerate(epochs.history):
            run.record(epochs.stage, step, record)
    with Progress(title, total, start=len(epochs.history), quiet=quiet) as progress:
        for record in epochs:
            if run is not None:
                run.record(epochs.stage, len(epochs.history) - 1, record)
            progress.update(len(epochs.history), describe(record["metrics"]))


def records_left(checkpoint: Path, recipe: str) -> list[Record]:
    """The records in a checkpoint of that recipe; none where there is no such checkpoint, or it is damaged.

    Raises:
        OSError: the system refuses it.
    """
    journal = Journal(CheckpointStorage.in_file(checkpoint))
    try:
        saved = journal.restore()
        return journal.records if saved is not None and saved["recipe"] == recipe else []
    except OSError:
        raise
    except UNREADABLE:
        return []
