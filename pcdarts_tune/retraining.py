"""A genotype's full training: epochs to MLflow, a checkpoint after each, one look at the test split, a model folder.

    done = retrain(Retraining(space, genotype, images, seed=0), Path("my-model"), device=device)
    done.test_accuracy

What was interrupted goes on from the checkpoint beside the folder, in the same MLflow run; what is finished is not done
again: its numbers are read from the folder's model.json, so the test split is looked at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import read_json
from pcdarts_tune.recording.retraining_run import STAGE, RetrainingRun, Tracked
from pcdarts_tune.resumable import Resumable, digest
from pcdarts_tune.terminal.options import say
from pcdarts_tune.terminal.progress import Progress

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.retrain import TrainEpoch, Training
    from pcdarts_tune.datasets import DataSet


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
            RetrainingRun(tracked.store, done.run_id).make_sure(done)
        return done
    training, test = build_retraining(work.space, work.genotype, work.images, device=device, seed=work.seed)
    epochs = Resumable(
        training, checkpoint or folder.with_name(f"{folder.name}.checkpoint"), work.recipe, _record
    )
    run = None if tracked is None else RetrainingRun.open(tracked, work)
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
    run: RetrainingRun | None,
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
    from pcdarts_tune.recording.provenance import git_revision, versions

    result = {key: value for key, value in done.to_dict().items() if key != "folder"}
    save_model(
        folder,
        training.network,
        work.genotype,
        network_arguments(work.space.retrain, work.images),
        work.images.classes,
        preprocessing(work.images, work.space.retrain.augment),
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
