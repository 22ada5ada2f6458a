"""From a sweep to a registered model: choose a trial, retrain its genotype, test once, register, move `champion`.

    promoted = promote(Request(home, "first"), device=device)
    promoted.to_dict()      # {"model": "first", "version": 1, "test_accuracy": 0.98, "run_id": "…", "champion": True}

Every stage is written down when it is done, so that an interrupted promotion goes on and a finished one is not
repeated. Candidates are compared on held-out accuracy; the test split decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import read_json, write_json
from pcdarts_tune.resumable import digest
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    import torch
    from mlflow.entities.model_registry import ModelVersion

    from pcdarts_tune.config import Space
    from pcdarts_tune.retraining import Retrained, Retraining
    from pcdarts_tune.sweep import SweepHandle
    from pcdarts_tune.sweeping.outcome import TrialRecord
    from pcdarts_tune.tracking import MlflowStore


@dataclass(frozen=True)
class Request:
    """What to promote.

    Attributes:
        trial, run_id: which trial; the best one when both are None.
        model: name to register under; None takes the sweep's.
        settings: `KEY=VALUE` changes of the space's retraining recipe.
        force: move the alias even to a worse model, and take other images than the sweep's.
    """

    home: Path
    sweep: str
    trial: int | None = None
    run_id: str | None = None
    model: str | None = None
    data: Path | None = None
    seed: int | None = None
    settings: tuple[str, ...] = ()
    tracking_uri: str | None = None
    force: bool = False


@dataclass(frozen=True)
class Promoted:
    """What came of it; `champion` says whether the alias is on this version."""

    model: str
    version: int
    test_accuracy: float
    run_id: str
    champion: bool
    validation_accuracy: float | None = None
    trial: int | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        keys = ("model", "version", "test_accuracy", "run_id", "champion")
        return {key: getattr(self, key) for key in keys}


def choose(sweep: SweepHandle, *, trial: int | None, run_id: str | None) -> TrialRecord:
    """The trial to promote: the one named by number or MLflow run, else the best.

    Raises:
        UserError: when there is no such trial, or it has no genotype.
        WorkFailed: when no trial is complete.
    """
    if trial is not None:
        chosen = sweep.record(trial)
    elif run_id is not None:
        chosen = sweep.record_of_run(run_id)
    else:
        chosen = sweep.best()
    if chosen.genotype is None:
        reason = f": {chosen.reason}" if chosen.reason else ""
        raise UserError(
            f"trial {chosen.trial} of sweep {sweep.name!r} is {chosen.state}{reason}; it has no genotype to retrain",
            hint=f"pcdarts-tune leaderboard {sweep.name}",
        )
    return chosen


def retraining_space(space: Space, settings: Sequence[str]) -> Space:
    """The sweep's space with `--set retrain.KEY=VALUE`.

    Raises:
        UserError: for a key of another section: what the sweep searched and on which images is settled.
    """
    other = [setting for setting in settings if not setting.strip().startswith("retrain.")]
    if other:
        raise UserError(
            f"--set {other[0]}: a promotion takes only retrain.… ; the rest is settled by the sweep",
            hint="to train on another data set or split: pcdarts-tune retrain",
        )
    from pcdarts_tune.spaces import override

    return override(space, settings) if settings else space


def outranks(
    validation_accuracy: float | None,
    comparable: str,
    version: int,
    champion: ModelVersion | None,
    force: bool,
) -> tuple[bool, str]:
    """Whether a version takes the alias, and why (not).

    Args:
        comparable: digest of the images and of how they are split; accuracies are compared only within it.
    """
    if champion is None:
        return True, "it is the first champion"
    if int(champion.version) == version:
        return True, "it is the champion already"
    if force:
        return True, f"--force; version {champion.version} was champion"
    before = champion.tags.get("pcdarts.validation_accuracy")
    if validation_accuracy is None or before is None or champion.tags.get("pcdarts.comparable") != comparable:
        return False, f"it cannot be compared with version {champion.version} on the same held-out images"
    better = validation_accuracy >= float(before)
    return better, (
        f"held-out accuracy {validation_accuracy:.4f} {'against' if better else 'is below'} {float(before):.4f} "
        f"of version {champion.version}"
    )


def promote(request: Request, *, device: torch.device, quiet: bool = False) -> Promoted:
    """Promote a trial of a sweep; goes on where an earlier promotion of the same trial stopped.

    Raises:
        UserError: no such sweep or trial, or images that cannot be read or are not the sweep's.
        WorkFailed: no trial is complete.
        NonFiniteLoss: the retraining diverges.
    """
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.recording.retraining_run import Tracked
    from pcdarts_tune.retraining import Retraining, retrain
    from pcdarts_tune.sources import load_images
    from pcdarts_tune.sweep import open_sweep

    sweep = open_sweep(request.home, request.sweep, request.tracking_uri)
    space = retraining_space(sweep.space, request.settings)
    chosen = choose(sweep, trial=request.trial, run_id=request.run_id)
    assert chosen.genotype is not None, "choose() returns a trial with a genotype"
    images = load_images(space, request.data or sweep.data_root, request.home, quiet=quiet)
    before = sweep.about["data"]["digest"]
    if images.digest != before:
        changed = f"the images of sweep {sweep.name!r} have changed (digest {images.digest}, it began with {before})"
        if not request.force:
            raise UserError(
                f"{changed}: its genotype was not found on them",
                hint="--data DIR where the same images are, or --force to retrain it on these",
            )
        if not quiet:
            say(f"note: {changed}; --force")
    seed = sweep.settings.seed if request.seed is None else request.seed
    work = Retraining(space, Genotype.from_dict(chosen.genotype), images, seed)

    from pcdarts_tune.tracking import require_answer

    require_answer(sweep.tracking_uri)
    store = sweep.store()
    place = sweep.folder.path / "promotions" / f"{work.genotype.canonical_hash()}-{work.recipe}"
    tags = {
        "pcdarts.sweep": sweep.name,
        "pcdarts.sweep_id": sweep.about["id"],
        "pcdarts.trial": str(chosen.trial),
    }
    if chosen.run_id is not None:
        tags["pcdarts.trial_run"] = chosen.run_id
    if not quiet:
        objective = (
            "" if chosen.objective is None else f", held-out accuracy {chosen.objective:.4f} in the sweep"
        )
        say(f"promoting trial {chosen.trial} of {sweep.name}{objective}; epochs: {space.retrain.epochs}")
    name = f"{sweep.name} t{chosen.trial:02d} retraining"
    done = retrain(
        work,
        place / "model",
        device=device,
        checkpoint=place / "checkpoint.pt",
        tracked=Tracked(store, sweep.experiment, name, tags),
        origin={"sweep": request.sweep, "trial": chosen.trial, "trial_run": chosen.run_id},
        quiet=quiet,
    )
    return _register(request, work, done, chosen, store, place)


def _register(
    request: Request, work: Retraining, done: Retrained, chosen: TrialRecord, store: MlflowStore, place: Path
) -> Promoted:
    from pcdarts_tune.registry import CHAMPION, aliased, log_model, register

    assert done.run_id is not None, "a promotion is always tracked"
    if chosen.run_id is not None:
        store.set_tags(chosen.run_id, {"pcdarts.retraining_run": done.run_id})
    stages: dict[str, Any] = (
        read_json(place / "promotion.json") if (place / "promotion.json").is_file() else {}
    )
    if "model_uri" not in stages:
        stages["model_uri"], stages["model_id"] = log_model(
            done.folder, run_id=done.run_id, tracking_uri=store.uri
        )
        write_json(place / "promotion.json", stages)
    model = request.model or request.sweep
    comparable = digest({"images": work.images.digest, "data": work.space.data.model_dump(mode="json")})
    versions = stages.setdefault("versions", {})
    if model not in versions:
        tags = {
            "pcdarts.sweep": request.sweep,
            "pcdarts.trial": str(chosen.trial),
            "pcdarts.genotype_hash": work.genotype.canonical_hash(),
            "pcdarts.test_accuracy": repr(done.test_accuracy),
            "pcdarts.comparable": comparable,
        }
        if chosen.run_id is not None:
            tags["pcdarts.trial_run"] = chosen.run_id
        if done.validation_accuracy is not None:
            tags["pcdarts.validation_accuracy"] = repr(done.validation_accuracy)
        registered = register(store.client, model, stages["model_uri"], stages["model_id"], done.run_id, tags)
        versions[model] = int(registered.version)
        write_json(place / "promotion.json", stages)
    version = int(versions[model])
    champion = aliased(store.client, model)
    takes, why = outranks(done.validation_accuracy, comparable, version, champion, request.force)
    if takes:
        store.client.set_registered_model_alias(model, CHAMPION, str(version))
    store.set_tags(done.run_id, {"pcdarts.model": f"{model}/{version}"})
    return Promoted(
        model, version, done.test_accuracy, done.run_id, takes, done.validation_accuracy, chosen.trial, why
    )
