"""A genotype's full training: epochs to MLflow, a checkpoint after each, one look at the test split, a model folder.

    done = retrain(Retraining(space, genotype, images, seed=0), Path("my-model"), device=device)
    done.test_accuracy

What was interrupted goes on from the checkpoint beside the folder, in the same MLflow run; what is finished is not done
again: its numbers are read from the folder's model.json, so the test split is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import read_json
from pcdarts_tune.options import say
from pcdarts_tune.outbox import Outbox
from pcdarts_tune.progress import Progress
from pcdarts_tune.resumable import Resumable, digest

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.retrain import TrainEpoch, Training
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.tracking import MlflowStore

STAGE = "retrain"
"""Prefix of the metrics in MLflow."""

_LOSS = f"{STAGE}/loss_train"  # every epoch has it


@dataclass(frozen=True)
class Retraining:
    """What is trained: everything that decides the result."""

    space: Space
    genotype: Genotype
    images: DataSet
    seed: int

    @property
    def recipe(self) -> str:
        """16 hexadecimal digits: equal for trainings that compute the same."""
        return digest(
            {
                "retrain": self.space.retrain.model_dump(mode="json"),
                "data": self.space.data.model_dump(mode="json"),
                "images": self.images.digest,
                "genotype": self.genotype.to_dict(),
                "seed": self.seed,
            }
        )


@dataclass(frozen=True)
class Tracked:
    """Where a retraining is recorded: the store, the experiment, the run's name and tags."""

    store: MlflowStore
    experiment: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Retrained:
    """What came of it.

    Attributes:
        folder: the model.
        validation_accuracy: on the held-out images after the last epoch; None where the split holds nothing out.
        run_id: the MLflow run, None when it was not tracked.
    """

    folder: Path
    test_accuracy: float
    test_loss: float
    validation_accuracy: float | None
    epochs: int
    seconds: float
    run_id: str | None

    def to_dict(self) -> dict[str, Any]:
        return {key: str(value) if key == "folder" else value for key, value in vars(self).items()}


def finished(work: Retraining, folder: Path) -> Retrained | None:
    """What the folder holds of this very retraining, None when there is no such folder.

    Raises:
        UserError: when the folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    description = read_json(folder / "model.json") if (folder / "model.json").is_file() else {}
    origin = description.get("origin", {})
    if origin.get("recipe") != work.recipe:
        what = "a model of another genotype, recipe, seed or data set" if description else "something else"
        raise UserError(
            f"{folder} exists and holds {what}", hint="choose another folder with -o, or remove this one"
        )
    result = origin["result"]
    return Retrained(folder, **result)


def retrain(
    work: Retraining,
    folder: Path,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    tracked: Tracked | None = None,
    origin: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Retrained:
    """Train a genotype with the space's retraining recipe and write the model folder; go on where it stopped.

    Args:
        checkpoint: by default `FOLDER.checkpoint`, beside the folder.
        origin: what to keep in model.json about where the genotype came from.

    Raises:
        UserError: when the folder or the checkpoint belongs to something else.
        NonFiniteLoss: when the training diverges.
    """
    from pcdarts_tune.build import build_retraining

    if (done := finished(work, folder)) is not None:
        if not quiet:
            say(f"retraining: done before, in {folder}")
        if tracked is not None and done.run_id is not None:
            _Run(tracked.store, done.run_id).make_sure(done)
        return done
    training, test = build_retraining(work.space, work.genotype, work.images, device=device, seed=work.seed)
    epochs = Resumable(
        training, checkpoint or folder.with_name(f"{folder.name}.checkpoint"), work.recipe, _record
    )
    run = None if tracked is None else _Run.open(tracked, work)
    try:
        result = _train(work, training, epochs, test, run, quiet)
        run_id = None if run is None else run.run_id
        done = Retrained(folder, run_id=run_id, **result)
        _save(work, training, folder, done, origin or {})
        if run is not None:
            run.finish(done)
    except BaseException as error:
        if run is not None:
            run.fail(error)
        raise
    epochs.finish()
    return done


def _train(
    work: Retraining,
    training: Training,
    epochs: Resumable[TrainEpoch],
    test: Any,
    run: _Run | None,
    quiet: bool,
) -> dict[str, Any]:
    from pcdarts_tune.core.retrain import evaluate

    if run is not None:
        for step, entry in enumerate(epochs.history):
            run.epoch(step, entry["metrics"])
    with Progress(
        "retraining", work.space.retrain.epochs, start=len(epochs.history), quiet=quiet
    ) as progress:
        for entry in epochs:
            if run is not None:
                run.epoch(len(epochs.history) - 1, entry["metrics"])
            held_out = entry["validation_accuracy"]
            note = f"training accuracy {entry['train_accuracy']:.4f}"
            progress.update(
                len(epochs.history), note if held_out is None else f"held-out accuracy {held_out:.4f}"
            )
    test_loss, test_accuracy = evaluate(training.network, test, work.space.retrain.batch_size)
    last = epochs.history[-1]
    return {
        "test_accuracy": float(test_accuracy),
        "test_loss": float(test_loss),
        "validation_accuracy": last["validation_accuracy"],
        "epochs": len(epochs.history),
        "seconds": sum(entry["seconds"] for entry in epochs.history),
    }


def _save(
    work: Retraining, training: Training, folder: Path, done: Retrained, origin: Mapping[str, Any]
) -> None:
    from pcdarts_tune.build import network_arguments
    from pcdarts_tune.datasets import preprocessing
    from pcdarts_tune.models import save_model
    from pcdarts_tune.provenance import git_revision, versions

    result = {key: value for key, value in done.to_dict().items() if key != "folder"}
    save_model(
        folder,
        training.network,
        work.genotype,
        network_arguments(work.space.retrain, work.images),
        work.images.classes,
        preprocessing(work.images),
        origin={
            **origin,
            "recipe": work.recipe,
            "space": work.space.name,
            "seed": work.seed,
            "data": {"name": work.images.name, "digest": work.images.digest},
            "result": result,
            "versions": versions(),
            "git": git_revision(),
        },
    )


def _record(epoch: TrainEpoch) -> dict[str, Any]:
    return {
        "metrics": epoch.metrics(STAGE),
        "train_accuracy": epoch.train_accuracy,
        "validation_accuracy": epoch.valid_accuracy,
        "seconds": epoch.seconds,
    }


class _Run:
    """A retraining's MLflow run. Epochs wait in an outbox: a store that is away for a while stops no training."""

    def __init__(self, store: MlflowStore, run_id: str) -> None:
        self.store, self.run_id = store, run_id
        self._outbox = Outbox()
        self._known: set[int] = set()

    @classmethod
    def open(cls, tracked: Tracked, work: Retraining) -> _Run:
        """The run of this retraining: the one it began in when it goes on."""
        from pcdarts_tune.draw import cell_svg, cells_png
        from pcdarts_tune.launch import about_images
        from pcdarts_tune.provenance import git_revision, versions

        store = tracked.store
        identity = {
            "pcdarts.retraining": work.recipe,
            **{k: v for k, v in tracked.tags.items() if k == "pcdarts.trial_run"},
        }
        tags = {
            "pcdarts.kind": "retraining",
            "pcdarts.genotype_hash": work.genotype.canonical_hash(),
            "pcdarts.seed": str(work.seed),
            "pcdarts.space": work.space.name,
            "pcdarts.data": work.images.digest,
            **{f"pcdarts.version.{name}": version for name, version in versions().items()},
            **tracked.tags,
        }
        if (revision := git_revision()) is not None:
            tags["mlflow.source.git.commit"] = revision
        run_id, new = store.open_run(tracked.experiment, identity, name=tracked.name, tags=tags)
        run = cls(store, run_id)
        if not new:
            run._known = store.steps(run_id, _LOSS)
            return run
        recipe = work.space.retrain.model_dump(mode="json")
        augment = recipe.pop("augment")
        store.log_parameters(run_id, {f"retrain.{key}": str(value) for key, value in recipe.items()})
        store.log_parameters(run_id, {f"retrain.augment.{key}": str(value) for key, value in augment.items()})
        store.log_json(run_id, work.genotype.to_dict(), "genotype.json")
        store.log_json(run_id, work.space.model_dump(mode="json"), "space.json")
        store.log_text(run_id, cell_svg(work.genotype), "cells.svg")
        store.log_png(run_id, cells_png(work.genotype), key="cells", step=0)
        store.log_dataset(run_id, **about_images(work.images))
        return run

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch; one that is known from before is skipped, because MLflow would keep it twice."""
        if step not in self._known:
            self._known.add(step)
            self._outbox.put(self._delivery(step, dict(metrics)))

    def _delivery(self, step: int, metrics: dict[str, float]) -> Callable[[], None]:
        tried = False

        def deliver() -> None:
            nonlocal tried
            # an attempt that failed may have arrived all the same
            if tried and step in self.store.steps(self.run_id, _LOSS):
                return
            tried = True
            self.store.log_epoch(self.run_id, metrics, step)

        return deliver

    def finish(self, done: Retrained) -> None:
        """Log what came of it and end the run."""
        if left := self._outbox.close(timeout=120):
            say(f"MLflow did not take {left} epochs: {self._outbox.last_error}")
        if not self.store.steps(self.run_id, "test/acc"):
            numbers = {"test/acc": done.test_accuracy, "test/loss": done.test_loss}
            self.store.log_epoch(self.run_id, numbers, done.epochs - 1)
        self.store.set_tags(self.run_id, {"mlflow.note.content": _describe(done)})
        self.store.close_run(self.run_id, "FINISHED")

    def make_sure(self, done: Retrained) -> None:
        """End the run of a retraining that was cut off between the model and this."""
        if self.store.client.get_run(self.run_id).info.status != "FINISHED":
            self.finish(done)

    def fail(self, error: BaseException) -> None:
        """End the run as killed or failed; the error itself is what the caller has to tell."""
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        self._outbox.put(lambda: self.store.close_run(self.run_id, "KILLED" if interrupted else "FAILED"))
        if not interrupted:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            self._outbox.put(lambda: self.store.set_tags(self.run_id, {"pcdarts.reason": reason}))
        self._outbox.close(timeout=10)


def _describe(done: Retrained) -> str:
    """A retraining in two lines of Markdown."""
    held_out = (
        "" if done.validation_accuracy is None else f", {done.validation_accuracy:.4f} on held-out images"
    )
    return (
        f"Retraining, {done.epochs} epochs: accuracy **{done.test_accuracy:.4f}** on the test split{held_out}.\n\n"
        f"To classify images: `pcdarts-tune predict MODEL IMAGE...`"
    )
