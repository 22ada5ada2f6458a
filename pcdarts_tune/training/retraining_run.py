"""A retraining in MLflow: one run, found again when the training goes on, linked to the trial of its genotype.

run = RetrainingRun.open(Tracked(store, "quickstart", "first t03 retraining", tags), work, device)
run.epochs.epoch(0, {"retrain/loss_train": 1.2})
run.finish(done)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.naming import short_value
from pcdarts_tune.tracking.epoch_run import EpochRun, Tracked, common_tags, delivering
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.work import STAGE

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.tracking.store import MlflowStore
    from pcdarts_tune.training.work import Retrained, Retraining

_LOSS = f"{STAGE}/loss_train"  # every epoch has it


class RetrainingRun:
    """A retraining's MLflow run."""

    def __init__(self, store: MlflowStore, run_id: str) -> None:
        self.store, self.run_id = store, run_id
        self.epochs = EpochRun(store, run_id, _LOSS)

    @classmethod
    def open(cls, tracked: Tracked, work: Retraining, device: torch.device) -> RetrainingRun:
        """The run of this retraining: the one it began in when it goes on."""
        from pcdarts_tune.datasets.load import about_images
        from pcdarts_tune.drawing.cells import cell_svg, cells_png

        identity = {
            Tag.RETRAINING: work.recipe,
            **{k: v for k, v in tracked.tags.items() if k == Tag.TRIAL_RUN},
        }
        tags = {
            **common_tags("retraining", work.space, work.images, work.seed),
            Tag.GENOTYPE_HASH: work.genotype.canonical_hash(),
        }
        if work.groups > 1:
            tags[Tag.GROUPS] = str(work.groups)
        epochs = EpochRun.open(tracked, identity, tags, device=device, metric=_LOSS)
        store, run_id = tracked.store, epochs.run_id
        run = cls(store, run_id)
        run.epochs = epochs
        if not epochs.new:
            return run
        recipe = work.space.retrain.model_dump(mode="json")
        augment = recipe.pop("augment")
        store.log_parameters(run_id, {f"retrain.{key}": str(value) for key, value in recipe.items()})
        store.log_parameters(run_id, {f"retrain.augment.{key}": str(value) for key, value in augment.items()})
        store.log_json(run_id, work.genotype.to_dict(), "genotype.json")
        store.log_json(run_id, work.space.model_dump(mode="json"), "space.json")
        store.log_text(run_id, cell_svg(work.genotype), "cells.svg")
        store.log_png(run_id, cells_png(work.genotype), key="cells", step=0)
        store.log_dataset(run_id, **about_images(work.images), context="retraining")
        return run

    def finish(self, done: Retrained) -> None:
        """Log what came of it and end the run; once more when the test split was read.

        Raises:
            Undelivered: MLflow did not take all of it.
        """
        self.epochs.flush()
        with delivering():
            self._finish(done)

    def _finish(self, done: Retrained) -> None:
        if done.test_accuracy is not None and not self.store.steps(self.run_id, "test/acc"):
            assert done.test_loss is not None, "both come from one look"
            numbers = {"test/acc": done.test_accuracy, "test/loss": done.test_loss}
            self.store.log_epoch(self.run_id, numbers, done.epochs - 1)
        self._log_cost(done)
        run = self.store.client.get_run(self.run_id)
        what = "Fine-tuning" if run.data.tags.get(Tag.KIND) == "finetuning" else "Retraining"
        self.store.set_tags(
            self.run_id, {"mlflow.note.content": _describe(what, done), Tag.WEIGHTS: done.weights}
        )
        self.store.close_run(self.run_id, "FINISHED", name=self._name(str(run.info.run_name), done))

    def _log_cost(self, done: Retrained) -> None:
        """What the network costs to use, as its folder says, once: models of older versions say nothing."""
        from pcdarts_tune.core.cost import Latency
        from pcdarts_tune.files import read_json

        cost = read_json(done.folder / "model.json")["origin"].get("cost")
        if cost is None or self.store.steps(self.run_id, "cost/latency_ms"):
            return
        latency = Latency(**cost["latency_ms"])
        numbers = {f"cost/{name}": float(cost[name]) for name in ("params", "macs", "bytes")}
        numbers |= {
            "cost/latency_ms": latency.median,
            "cost/lower_latency_ms": latency.lower,
            "cost/upper_latency_ms": latency.upper,
        }
        self.store.log_epoch(self.run_id, numbers, done.epochs - 1)
        self.store.set_tags(self.run_id, {Tag.LATENCY: str(latency)})

    @staticmethod
    def _name(name: str, done: Retrained) -> str:
        """The run's name with what came of it, as trials have it: MLflow's table hides the columns at first."""
        name = name.partition(" acc=")[0]
        accuracy = done.test_accuracy if done.validation_accuracy is None else done.validation_accuracy
        return name if accuracy is None else f"{name} acc={short_value(accuracy)}"

    def make_sure(self, done: Retrained, epochs: Sequence[Mapping[str, float]]) -> None:
        """End the run of a retraining that was cut off between the model and this.

        Args:
            epochs: the metrics of all its epochs, where some may be missing; empty where none are.

        Raises:
            UserError: the run is in another store.
            Undelivered: MLflow did not take all of it.
        """
        with delivering():
            ended = self._has_ended(done)
            if epochs:
                self.epochs.recall()
            self.epochs.epochs(epochs)
        if epochs or not ended:
            self.finish(done)

    def _has_ended(self, done: Retrained) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run = self.store.client.get_run(self.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UserError(
                f"{done.folder} was recorded in another MLflow store: this one has no run {self.run_id}",
                hint="--home or --tracking-uri where it was recorded, --no-track, or another folder with -o",
            ) from None
        tested = done.test_accuracy is None or bool(self.store.steps(self.run_id, "test/acc"))
        return run.info.status == "FINISHED" and tested


def _describe(what: str, done: Retrained) -> str:
    """A training in two lines of Markdown."""
    accuracies = {"the test split": done.test_accuracy, "held-out images": done.validation_accuracy}
    known = [f"**{value:.4f}** on {images}" for images, value in accuracies.items() if value is not None]
    if done.test_accuracy is None:
        known.append("the test split was not read")
    return (
        f"{what}, {done.epochs} epochs: accuracy {', '.join(known)}.\n\n"
        f"To see where it comes from: `pcdarts-tune show {done.run_id}`"
    )
