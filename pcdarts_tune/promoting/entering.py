"""A training enters the model registry by itself: `retrain --register`, `finetune --register`.

    entered = enter(store, "flowers", work, done)
    entered.reference           # "flowers/1"

One that is in it already does not enter again. Who becomes champion is decided as in a promotion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.resumable import digest

if TYPE_CHECKING:
    from pcdarts_tune.retraining import Retrained, Retraining
    from pcdarts_tune.tracking import MlflowStore


@dataclass(frozen=True)
class Entered:
    """A version of a registered model; `why` it is champion or not."""

    model: str
    version: int
    champion: bool
    why: str

    @property
    def reference(self) -> str:
        return f"{self.model}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("model", "version", "champion")}


def comparable(work: Retraining) -> str:
    """Held-out accuracies are compared between versions only where this is equal: the same images, split alike."""
    return digest({"images": work.images.digest, "data": work.space.data.model_dump(mode="json")})


def version_tags(work: Retraining, done: Retrained) -> dict[str, str]:
    """What every version says of its training."""
    known = {"test_accuracy": done.test_accuracy, "validation_accuracy": done.validation_accuracy}
    return {
        **({} if done.weights is None else {"pcdarts.weights": done.weights}),
        "pcdarts.genotype_hash": work.genotype.canonical_hash(),
        "pcdarts.seed": str(work.seed),
        "pcdarts.comparable": comparable(work),
        **{f"pcdarts.{key}": repr(value) for key, value in known.items() if value is not None},
    }


def enter(store: MlflowStore, model: str, work: Retraining, done: Retrained) -> Entered:
    """Log the model to the training's run, register it as the next version, give it the alias where it is not worse.

    Raises:
        UserError: the training was not tracked.
    """
    from pcdarts_tune.promoting.champions import crown, outranks
    from pcdarts_tune.registry import aliased, log_model, register

    if done.run_id is None:
        raise UserError(
            f"{done.folder} was trained with --no-track: it has no MLflow run that a registered model could belong to",
            hint="train it again into another folder (-o), without --no-track",
        )
    client = store.client
    # the same recipe may come out with other last bits in another folder
    known = [
        each
        for each in client.search_model_versions(f"run_id='{done.run_id}'")
        if each.name == model and each.tags.get("pcdarts.weights") == done.weights
    ]
    if not known:
        logged = log_model(done.folder, run_id=done.run_id, tracking_uri=store.uri)
        known = [register(client, model, *logged, done.run_id, version_tags(work, done))]
    version = int(known[0].version)
    takes, why = outranks(
        done.validation_accuracy, comparable(work), version, aliased(client, model), force=False
    )
    if takes:
        crown(client, model, version, why)
    entered = Entered(model, version, takes, why)
    store.set_tags(done.run_id, {"pcdarts.model": entered.reference})
    return entered
