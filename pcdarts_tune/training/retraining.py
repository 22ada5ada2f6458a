"""A genotype's full training: epochs to MLflow, a checkpoint after each, a model folder, one look at the test split.

    done = retrain(Retraining(space, genotype, images, seed=0), Path("my-model"), device=device)    # done.test_accuracy

What was interrupted goes on from the checkpoint beside the folder, in the same MLflow run. What is finished is read from the
folder's model.json, so the test split is looked at once, and not at all for a training that only takes part in a comparison.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.core.cost import count_macs, count_parameters, measure_latency
from pcdarts_tune.core.loop import score_network
from pcdarts_tune.core.retrain import Training
from pcdarts_tune.core.steps.checkpoints import weights_digest
from pcdarts_tune.datasets import preprocessing
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.say import say
from pcdarts_tune.tasks import DEFAULTS, Workers
from pcdarts_tune.tracking.provenance import git_revision, versions
from pcdarts_tune.tracking.run import EpochRun, Run, Tracked
from pcdarts_tune.training.build import build_test, network_arguments
from pcdarts_tune.training.epochs import Resumable, follow, held_out_record, records_left
from pcdarts_tune.training.journal import CheckpointStorage
from pcdarts_tune.training.retraining_run import complete_run, end_run, open_run
from pcdarts_tune.training.scoring import name_classes
from pcdarts_tune.training.work import STAGE, Retrained, Retraining
from pcdarts_tune.training.workers.driver import EpochsByWorkers


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
    return Retrained(folder, **origin["result"])


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
        done = _train(
            work,
            folder,
            checkpoint,
            device=device,
            tracked=tracked,
            origin=origin or {},
            quiet=quiet,
            workers=workers,
        )
    else:
        if not quiet:
            say(f"retraining: done before, in {folder}")
        if tracked is not None and done.run_id is not None:
            # the checkpoint is there as long as MLflow may lack an epoch
            left = records_left(checkpoint, work.recipe)
            complete_run(tracked.store, done, left)
            if left:
                checkpoint.unlink()
    return read_test(work, done, device=device, tracked=tracked) if test else done


def read_test(
    work: Retraining, done: Retrained, *, device: torch.device, tracked: Tracked | None = None
) -> Retrained:
    """The retraining with its accuracy on the test split, which is evaluated and written down the first time, and never
    again."""
    if done.test_accuracy is not None:
        return done
    network = load_model(done.folder, device).network
    network = network.to(memory_format=torch.channels_last)  # as it was trained
    images = build_test(work.space, work.images, device=device)
    batch, precision = work.space.retrain.batch_size, work.execution.precision
    scored = score_network(network, images, batch, precision=precision)
    scores = name_classes(held_out_record(scored, classes=True), scored.accuracy, work.images.classes)
    done = replace(done, test_accuracy=scored.accuracy, test_loss=scored.loss, test_scores=scores)
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
    checkpoint: Path,
    *,
    device: torch.device,
    tracked: Tracked | None,
    origin: Mapping[str, Any],
    quiet: bool,
    workers: Workers | None,
) -> Retrained:
    epochs: Resumable
    if workers is None or not workers.distributed:
        training = work.build(device)
        epochs = Resumable(training, CheckpointStorage.in_file(checkpoint), work.recipe, STAGE)
    else:
        # it only takes a state: on the CPU, as any CPU can
        training = replace(work, execution=DEFAULTS).build(torch.device("cpu"))
        epochs = EpochsByWorkers(training, checkpoint, work, workers, quiet=quiet)
    run = None if tracked is None else open_run(tracked, work, device)
    with run or nullcontext():
        follow(epochs, run, "retraining", work.space.retrain.epochs, _describe, quiet=quiet)
        last = epochs.history[-1]
        scored, accuracy = last.get("held_out"), last["accuracy"]  # of a checkpoint of an older version: None
        done = Retrained(
            folder,
            test_accuracy=None,
            test_loss=None,
            validation_accuracy=last["metrics"].get(f"{STAGE}/acc_held_out"),
            epochs=len(epochs.history),
            seconds=sum(record["metrics"][f"{STAGE}/seconds"] for record in epochs.history),
            run_id=None if run is None else run.run_id,
            weights=weights_digest(training.result),
            held_out_scores=scored and name_classes(scored, accuracy, work.images.classes),
        )
        save_model(
            folder,
            training.result,
            work.genotype,
            network_arguments(work.space.retrain, work.images),
            work.images.classes,
            preprocessing(work.images, work.space.retrain.augment),
            origin={
                **origin,
                # of this process in records of older versions
                "execution": last.get("execution") or training.execution(),
                "cost": cost_to_use(work, training, device),
                "recipe": work.recipe,
                "setting": work.setting,
                "space": work.space.name,
                "settings": work.space.model_dump(mode="json"),
                "seed": work.seed,
                "data": {"name": work.images.name, "digest": work.images.digest},
                "result": done.result(),
                "versions": versions(),
                "git": git_revision(),
            },
        )
    if run is not None:
        run.end(end_run, run.run, done)
    checkpoint.unlink(missing_ok=True)
    return done


def _describe(metrics: Mapping[str, float]) -> str:
    held_out = metrics.get(f"{STAGE}/acc_held_out")
    if held_out is None:
        return f"training accuracy {metrics[f'{STAGE}/acc_train']:.4f}"
    return f"held-out accuracy {held_out:.4f}"


def cost_to_use(work: Retraining, training: Training, device: torch.device) -> dict[str, Any]:
    """What the trained network costs to use, as JSON: parameters, multiply-adds, bytes of its weights, latency here."""
    # a copy is not compiled: batch 1 would be anew; what workers trained lies on the CPU
    network, images = copy.deepcopy(training.result).to(device), work.images
    tensors = network.state_dict().values()
    return {
        "params": count_parameters(network),
        "macs": count_macs(network, images.in_channels, images.image_size),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        "latency_ms": asdict(measure_latency(network, images.in_channels, images.image_size, seconds=2.0)),
    }
