"""A promotion's end: the chosen model as a version of a registered model, with its lineage in tags, and the alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.home import read_json, write_json
from pcdarts_tune.promoting.comparison import Standing, Trained
from pcdarts_tune.promoting.entering import comparable, version_tags

if TYPE_CHECKING:
    from pcdarts_tune.promoting.contest import Contest
    from pcdarts_tune.promoting.request import Request


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
    from pcdarts_tune.promoting.champions import crown, outranks
    from pcdarts_tune.recording.promotion_run import lineage_tags
    from pcdarts_tune.registry import aliased, log_model, register, versions_of

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
        "pcdarts.trial": str(contestant.trial),
        "pcdarts.trial_run": contestant.run_id,
        "pcdarts.promotion_run": promotion_run,
        "pcdarts.validation_mean": repr(spread.mean) if spread.n > 1 else None,
        "pcdarts.validation_std": None if spread.std is None else repr(spread.std),
        "pcdarts.validation_n": str(spread.n) if spread.n > 1 else None,
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
        store.set_tags(contestant.run_id, {"pcdarts.retraining_run": done.run_id, "pcdarts.model": name})
    for run_id in (done.run_id, promotion_run, contest.sweep.study.notes().get("run")):
        if run_id is not None:
            store.set_tags(run_id, {"pcdarts.model": name})
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
