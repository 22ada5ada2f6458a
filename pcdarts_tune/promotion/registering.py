"""What a promotion is asked for.

A training enters the model registry by itself: `retrain --register`, `finetune --register`.

    entered = enter(store, "flowers", work, done)
    entered.reference           # "flowers/1"

One that is in it already does not enter again. Who becomes champion is decided as in a promotion.

A promotion's end: the chosen model as a version of a registered model, with its lineage in tags, and the alias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.home import Where
from pcdarts_tune.promotion.candidates import Baselines
from pcdarts_tune.promotion.comparison import Standing, Trained
from pcdarts_tune.tasks import Workers
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.journal import digest

if TYPE_CHECKING:
    from pcdarts_tune.promotion.rounds import Contest
    from pcdarts_tune.tracking.store import MlflowStore
    from pcdarts_tune.training.work import Retrained, Retraining


@dataclass(frozen=True)
class Request:
    """What to promote.

    Attributes:
        trial, run_id: which trial; the best one when both are None.
        model: name to register under; None takes the sweep's.
        seed: of the first training, None for the sweep's; further ones count up from it.
        settings: `KEY=VALUE` changes of the space's retraining recipe.
        force: move the alias even to a worse model, and take other images than the sweep's.
        candidates: how many of the best distinct genotypes compete.
        seeds: trainings of each genotype.
        test_all: read the test split for every training of the chosen genotype and of the baselines too, after the
            choice.
        execution: fields of `Execution` that replace the sweep's.
        workers: who trains. Either goes on with what the other began.
    """

    where: Where
    sweep: str
    trial: int | None = None
    run_id: str | None = None
    model: str | None = None
    data: Path | None = None
    seed: int | None = None
    settings: tuple[str, ...] = ()
    force: bool = False
    candidates: int = 1
    seeds: int = 1
    baselines: Baselines = field(default_factory=Baselines)
    test_all: bool = False
    execution: Mapping[str, Any] = field(default_factory=dict)
    workers: Workers = field(default_factory=Workers)

    @property
    def single(self) -> bool:
        """One training alone: nothing to compare."""
        return self.candidates == 1 and self.seeds == 1 and not self.baselines

    @property
    def title(self) -> str:
        """What its run in MLflow is called."""
        baselines = [*(["default"] if self.baselines.default else [])]
        if self.baselines.random:
            baselines.append(f"{self.baselines.random} random")
        what = "1 candidate" if self.candidates == 1 else f"{self.candidates} candidates"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.sweep} promotion, {', '.join([what, *baselines, seeds])}"


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
    known = {
        Tag.TEST_ACCURACY: done.test_accuracy,
        Tag.VALIDATION_ACCURACY: done.validation_accuracy,
    }
    return {
        **({} if done.weights is None else {Tag.WEIGHTS: done.weights}),
        Tag.GENOTYPE_HASH: work.genotype.canonical_hash(),
        Tag.SEED: str(work.seed),
        Tag.COMPARABLE: comparable(work),
        **{tag: repr(value) for tag, value in known.items() if value is not None},
    }


def enter(store: MlflowStore, model: str, work: Retraining, done: Retrained) -> Entered:
    """Log the model to the training's run, register it as the next version, give it the alias where it is not worse.

    Raises:
        UserError: the training was not tracked.
    """
    from pcdarts_tune.tracking.champions import crown, outranks
    from pcdarts_tune.tracking.registry import aliased, log_model, register

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
        if each.name == model and each.tags.get(Tag.WEIGHTS) == done.weights
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
    store.set_tags(done.run_id, {Tag.MODEL: entered.reference})
    return entered


@dataclass(frozen=True)
class Promoted:
    """What came of it; `champion` says whether the alias is on this version, `why` why (not)."""

    model: str
    version: int
    test_accuracy: float
    run_id: str
    champion: bool
    chosen: Standing
    trained: Trained
    standings: tuple[Standing, ...]
    verdicts: tuple[str, ...] = ()
    promotion_run: str | None = None
    why: str = ""

    @property
    def validation_accuracy(self) -> float | None:
        return None if self.trained.done is None else self.trained.done.validation_accuracy

    def to_dict(self) -> dict[str, Any]:
        """The contract's keys first; more follow."""
        keys = ("model", "version", "test_accuracy", "run_id", "champion", "validation_accuracy")
        return {key: getattr(self, key) for key in keys} | {
            "trial": self.chosen.contestant.trial,
            "seed": self.trained.seed,
            "genotype_hash": self.chosen.contestant.genotype.canonical_hash(),
            "promotion_run": self.promotion_run,
            "comparison": [standing.to_dict() for standing in self.standings],
            "verdicts": list(self.verdicts),
        }


def register_chosen(
    request: Request,
    contest: Contest,
    chosen: Standing,
    trained: Trained,
    standings: Sequence[Standing],
    said: tuple[str, ...],
) -> Promoted:
    """Log the chosen model, register it as a version, give it the alias where it is not worse; each stage is done once."""
    from pcdarts_tune.promotion.promotion_run import lineage_tags
    from pcdarts_tune.tracking.champions import crown, outranks
    from pcdarts_tune.tracking.registry import aliased, log_model, register, versions_of

    store, contestant, work, done = contest.store, chosen.contestant, trained.work, trained.done
    assert done is not None, "a training that diverged is not chosen"
    assert done.run_id is not None, "a promotion is always tracked"
    assert done.test_accuracy is not None, "the chosen model was tested"
    place = contest.place(work)
    stages: dict[str, Any] = (
        read_json(place / "promotion.json") if (place / "promotion.json").is_file() else {}
    )
    if "model_uri" not in stages:
        stages["model_uri"], stages["model_id"] = log_model(
            done.folder, run_id=done.run_id, tracking_uri=store.uri
        )
        write_json(place / "promotion.json", stages)
    model = request.model or request.sweep
    spread = chosen.held_out
    promotion_run = None if contest.run is None else contest.run.run_id
    tags = {
        **lineage_tags(contest.sweep),
        Tag.TRIAL: str(contestant.trial),
        Tag.TRIAL_RUN: contestant.run_id,
        Tag.PROMOTION_RUN: promotion_run,
        Tag.VALIDATION_MEAN: repr(spread.mean) if spread.n > 1 else None,
        Tag.VALIDATION_STD: None if spread.std is None else repr(spread.std),
        Tag.VALIDATION_N: str(spread.n) if spread.n > 1 else None,
        **version_tags(work, done),
    }
    known = {key: value for key, value in tags.items() if value is not None}
    versions = stages.setdefault("versions", {})
    if versions.get(model) not in versions_of(store.client, model):  # or it was deleted since
        registered = register(
            store.client, model, stages["model_uri"], stages["model_id"], done.run_id, known
        )
        versions[model] = int(registered.version)
        write_json(place / "promotion.json", stages)
    elif contest.run is not None:
        for key, value in known.items():  # the comparison came after the model
            store.client.set_model_version_tag(model, str(versions[model]), key, value)
    version = int(versions[model])
    takes, why = outranks(
        done.validation_accuracy, comparable(work), version, aliased(store.client, model), request.force
    )
    if takes:
        crown(store.client, model, version, why)
    name = f"{model}/{version}"
    if contestant.run_id is not None:
        store.set_tags(contestant.run_id, {Tag.RETRAINING_RUN: done.run_id, Tag.MODEL: name})
    for run_id in (done.run_id, promotion_run, contest.sweep.study.notes().get("run")):
        if run_id is not None:
            store.set_tags(run_id, {Tag.MODEL: name})
    return Promoted(
        model,
        version,
        done.test_accuracy,
        done.run_id,
        takes,
        chosen,
        trained,
        tuple(standings),
        said,
        promotion_run,
        why,
    )
