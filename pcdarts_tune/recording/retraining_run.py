"""A retraining in MLflow: one run, found again when the training goes on, linked to the trial of its genotype.

run = RetrainingRun.open(Tracked(store, "quickstart", "first t03 retraining", tags), work)
run.epoch(0, {"retrain/loss_train": 1.2})
run.finish(done)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pcdarts_tune.recording.outbox import Outbox
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    from pcdarts_tune.retraining import Retrained, Retraining
    from pcdarts_tune.tracking import MlflowStore

STAGE = "retrain"
"""Prefix of the metrics in MLflow."""

_LOSS = f"{STAGE}/loss_train"  # every epoch has it


@dataclass(frozen=True)
class Tracked:
    """Where a retraining is recorded: the store, the experiment, the run's name and tags."""

    store: MlflowStore
    experiment: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


class RetrainingRun:
    """A retraining's MLflow run. Epochs wait in an outbox: a store that is away for a while stops no training."""

    def __init__(self, store: MlflowStore, run_id: str) -> None:
        self.store, self.run_id = store, run_id
        self._outbox = Outbox()
        self._known: set[int] = set()

    @classmethod
    def open(cls, tracked: Tracked, work: Retraining) -> RetrainingRun:
        """The run of this retraining: the one it began in when it goes on."""
        from pcdarts_tune.draw import cell_svg, cells_png
        from pcdarts_tune.recording.provenance import git_revision, versions
        from pcdarts_tune.sweeping.launch import about_images

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
        store.log_dataset(run_id, **about_images(work.images), context="retraining")
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
