"""A genotype's full training: epochs to MLflow, a checkpoint after each, a model folder, one look at the test split.

    work = Retraining(space, genotype, images, seed=0)
    done = retrain(work, Path("my-model"), device=device, test=False)   # done.validation_accuracy
    done = read_test(work, done, device=device)                         # done.test_accuracy

What was interrupted goes on from the checkpoint beside the folder, in the same MLflow run; what is finished is not done
again: its numbers are read from the folder's model.json, so the test split is looked at once, and not at all for a
training that only takes part in a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.say import Progress, say
from pcdarts_tune.tracking.run import EpochRun, Run, Tracked
from pcdarts_tune.training.journal import CheckpointStorage, Resumable, records_left
from pcdarts_tune.training.model_folder import cost_to_use, write_model
from pcdarts_tune.training.retraining_run import complete_run, end_run, open_run
from pcdarts_tune.training.work import STAGE, Retrained, Retraining, epoch_record

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.retrain import Training
    from pcdarts_tune.tasks import Workers


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
    test: bool = True,
    quiet: bool = False,
    workers: Workers | None = None,
) -> Retrained:
    """Train a genotype with the space's retraining recipe and write the model folder; go on where it stopped.

    Args:
        checkpoint: by default `FOLDER.checkpoint`, beside the folder.
        origin: what to keep in model.json about where the genotype came from.
        test: read the test split at the end; False leaves it unread.
        workers: who trains; None trains in this process. Either can go on with what the other began.

    Raises:
        UserError: when the folder or the checkpoint belongs to something else, or there are no such workers.
        NonFiniteLoss: when the training diverges.
        Undelivered: the model is there, and MLflow does not take all of its run.
    """
    done = finished(work, folder)
    checkpoint = checkpoint or folder.with_name(f"{folder.name}.checkpoint")
    if done is None:
        done = _train(work, folder, device, checkpoint, tracked, origin or {}, quiet, workers)
    else:
        if not quiet:
            say(f"retraining: done before, in {folder}")
        if tracked is not None and done.run_id is not None:
            # the checkpoint is there as long as MLflow may lack an epoch
            left = records_left(checkpoint, work.recipe)
            complete_run(tracked.store, done, [entry["metrics"] for entry in left])
            if left:
                checkpoint.unlink()
    return read_test(work, done, device=device, tracked=tracked) if test else done


def read_test(
    work: Retraining, done: Retrained, *, device: torch.device, tracked: Tracked | None = None
) -> Retrained:
    """The retraining with its accuracy on the test split, which is evaluated and written down the first time, and never
    again."""
    import torch

    from pcdarts_tune.core.loop import evaluate
    from pcdarts_tune.models.model import load_model
    from pcdarts_tune.training.build import build_test

    if done.test_accuracy is not None:
        return done
    network = load_model(done.folder, device).network.to(
        memory_format=torch.channels_last
    )  # as it was trained
    images = build_test(work.space, work.images, device=device)
    batch, precision = work.space.retrain.batch_size, work.execution.precision
    loss, accuracy = evaluate(network, images, batch, precision=precision)
    done = replace(done, test_accuracy=float(accuracy), test_loss=float(loss))
    description = read_json(done.folder / "model.json")
    description["origin"]["result"] = done.result()
    write_json(done.folder / "model.json", description)
    if tracked is not None and done.run_id is not None:
        run = EpochRun(Run(tracked.store, done.run_id))
        run.end(end_run, run.run, done)
    return done


def _train(
    work: Retraining,
    folder: Path,
    device: torch.device,
    checkpoint: Path,
    tracked: Tracked | None,
    origin: Mapping[str, Any],
    quiet: bool,
    workers: Workers | None,
) -> Retrained:
    epochs: Resumable
    if workers is None or not workers.distributed:
        training = work.build(device)
        epochs = Resumable(training, CheckpointStorage.in_file(checkpoint), work.recipe, epoch_record)
    else:
        from pcdarts_tune.training.workers.driver import EpochsByWorkers, idle_training

        training = idle_training(work)
        epochs = EpochsByWorkers(training, checkpoint, work, workers, epoch_record, quiet=quiet)
    run = None if tracked is None else open_run(tracked, work, device)
    try:
        _run_epochs(work, training, epochs, run, quiet)
        done = Retrained(
            folder,
            test_accuracy=None,
            test_loss=None,
            validation_accuracy=epochs.history[-1]["validation_accuracy"],
            epochs=len(epochs.history),
            seconds=sum(entry["seconds"] for entry in epochs.history),
            run_id=None if run is None else run.run_id,
        )
        came_of = {
            "execution": _execution(training, epochs.history[-1]),
            "cost": cost_to_use(work, training, device),
        }
        done = write_model(work, training, done, {**origin, **came_of})
    except BaseException as error:
        if run is not None:
            run.fail(error)
        raise
    if run is not None:
        run.end(end_run, run.run, done)
    checkpoint.unlink(missing_ok=True)
    return done


def _run_epochs(
    work: Retraining,
    training: Training,
    epochs: Resumable,
    run: EpochRun | None,
    quiet: bool,
) -> None:
    if run is not None:
        for step, entry in enumerate(epochs.history):
            run.epoch(STAGE, step, entry["metrics"])
    machine: dict[str, str] | None = None  # of the workers
    with Progress(
        "retraining", work.space.retrain.epochs, start=len(epochs.history), quiet=quiet
    ) as progress:
        for entry in epochs:
            if run is not None:
                run.epoch(STAGE, len(epochs.history) - 1, entry["metrics"])
                execution = _execution(training, entry)
                run.put(run.run.set_execution, execution)
                if entry.get("machine") != machine:
                    machine = entry["machine"]
                    run.store.set_tags(run.run_id, machine)
            held_out = entry["validation_accuracy"]
            note = f"training accuracy {entry['train_accuracy']:.4f}"
            progress.update(
                len(epochs.history), note if held_out is None else f"held-out accuracy {held_out:.4f}"
            )


def _execution(training: Training, entry: Mapping[str, Any]) -> Mapping[str, str]:
    """How the steps were executed: here, or by the workers, who say so with every epoch."""
    came_of: Mapping[str, str] = entry.get("execution") or training.execution()
    return came_of
