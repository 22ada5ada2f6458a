"""A training enters the model registry: its model becomes a version of a registered model, and champion if it is not worse.

    registered = register_model(store, "flowers", work, done)
    registered.reference        # "flowers/1"

Each stage is done once: what is a version already is not registered again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.tracking.champions import compare_with_champion, set_champion
from pcdarts_tune.tracking.registry import create_version, log_model, version_of_alias
from pcdarts_tune.tracking.store import MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.journal import digest
from pcdarts_tune.training.work import Retrained, Retraining


@dataclass(frozen=True)
class Registered:
    """A version of a registered model; `why` says why the alias is on it or not."""

    model: str
    version: int
    champion: bool
    why: str

    @property
    def reference(self) -> str:
        """How commands name it: `flowers/1`."""
        return f"{self.model}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("model", "version", "champion")}


def register_model(
    store: MlflowStore,
    model: str,
    work: Retraining,
    done: Retrained,
    *,
    tags: Mapping[str, str | None] | None = None,
    force: bool = False,
) -> Registered:
    """Log the model to the training's run, register it as the next version, give it the alias where it is not worse.

    Args:
        tags: further ones of the version; None for a value that is not known.
        force: give it the alias even where it is worse.

    Raises:
        UserError: the training was not tracked.
    """
    if done.run_id is None:
        raise UserError(
            f"{done.folder} was trained with --no-track: it has no MLflow run that a registered model could belong to",
            hint="train it again into another folder (-o), without --no-track",
        )
    client = store.client
    # scores of versions are compared only where this is equal: the same images, split and scored alike
    balanced = work.space.objective == "balanced_accuracy"
    score, tag = done.validation_score(work.space.objective), Tag.VALIDATION_ACCURACY
    by = {"score": work.space.objective} if balanced else {}
    comparable = digest({"images": work.images.digest, "data": identity(work.space.data), **by})
    accuracies = {Tag.TEST_ACCURACY: done.test_accuracy, Tag.VALIDATION_ACCURACY: done.validation_accuracy}
    if balanced:
        tag = Tag.VALIDATION_BALANCED
        accuracies[tag] = score
    wanted = {
        Tag.WEIGHTS: done.weights,
        Tag.GENOTYPE_HASH: work.genotype.canonical_hash(),
        Tag.SEED: str(work.seed),
        Tag.COMPARABLE: comparable,
        **{key: None if value is None else repr(value) for key, value in accuracies.items()},
        **(tags or {}),
    }
    known = {key: value for key, value in wanted.items() if value is not None}
    # the same recipe may come out with other last bits in another folder
    logged = [
        each
        for each in client.search_model_versions(f"run_id='{done.run_id}'")
        if each.tags.get(Tag.WEIGHTS) == done.weights
    ]
    same = next((each for each in logged if each.name == model), None)
    if same is None:
        if logged:  # under another name
            uri, model_id = str(logged[0].source), str(logged[0].model_id)
        else:
            uri, model_id = log_model(done.folder, run_id=done.run_id, tracking_uri=store.uri)
        same = create_version(client, model, uri, model_id, done.run_id, known)
    for key, value in known.items():
        if same.tags.get(key) != value:  # a comparison that came after the model
            client.set_model_version_tag(model, str(same.version), key, value)
    version, champion = int(same.version), version_of_alias(client, model)
    takes, why = compare_with_champion(score, comparable, version, champion, force, tag)
    if takes:
        set_champion(client, model, version, why)
    registered = Registered(model, version, takes, why)
    store.set_tags(done.run_id, {Tag.MODEL: registered.reference})
    return registered
