"""Run a trial, a search or a retraining again from what was recorded of it, and say whether it comes out the same.

    done = reproduce(named, Conditions(where, device="auto"), quiet=False)
    done.verdict.equal          # bit for bit: every number of every epoch, the genotype, the weights

The reproduction is a run of its own, tagged `pcdarts.reproduces`; nothing of the original is touched, and the test split is
not read. On a CPU with the same versions and as many threads it comes out equal. One that was interrupted goes on.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.home import Where, artifact_root
from pcdarts_tune.lineage.recorded import Recorded
from pcdarts_tune.lineage.verdict import Outcome, Verdict, judge
from pcdarts_tune.say import say
from pcdarts_tune.tasks import Execution
from pcdarts_tune.tracking.run import EpochRun, Tracked, common_tags
from pcdarts_tune.tracking.store import OBJECTIVE, MlflowStore
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet


@dataclass(frozen=True)
class Conditions:
    """Under which it runs again.

    Attributes:
        device: `auto` is the kind that the original ran on.
        data: `--data`; None for where the sweep had its images.
        force: go on with other images.
    """

    where: Where
    device: str = "auto"
    data: Path | None = None
    force: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Reproduced:
    """The reproduction's run, how it compares, and what was different beforehand."""

    run_id: str
    recorded: Recorded
    outcome: Outcome
    verdict: Verdict
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "reproduces": self.recorded.run_id,
            "kind": self.recorded.kind,
            "run_id": self.run_id,
            **self.verdict.to_dict(),
            "warnings": list(self.warnings),
        }


def reproduce(recorded: Recorded, conditions: Conditions) -> Reproduced:
    """Run it again and compare.

    Raises:
        UserError: images that cannot be read or are others than the original's.
        NonFiniteLoss: when it diverges, as the original may have.
    """
    from pcdarts_tune.machine import set_threads

    device = _device(recorded, conditions)
    if recorded.threads is not None and device.type == "cpu":
        set_threads(
            recorded.threads
        )  # before anything is computed: how sums are split decides their last bits
    images = _images(recorded, conditions)
    warnings = tuple(recorded.warnings(device))
    if not conditions.quiet:
        for warning in warnings:
            say(f"note: {warning}")
    place = conditions.where.home / "reproductions" / recorded.run_id
    token = _token(place)
    tags = {
        Tag.KIND: "reproduction",
        Tag.REPRODUCES: recorded.run_id,
        Tag.REPRODUCED_KIND: recorded.kind,
    }
    store = MlflowStore(recorded.uri, artifact_root(conditions.where.home))
    identity = {Tag.REPRODUCES: recorded.run_id, Tag.REPRODUCTION: token}
    tracked = Tracked(store, recorded.space.name, f"reproduction of {recorded.name}", tags, identity=identity)
    works = {"trial": _trial, "search": _search, "retraining": _retraining, "finetuning": _retraining}
    work = works[recorded.kind]
    outcome = work(recorded, images, device, place, tracked, conditions.quiet)
    verdict = judge(recorded, outcome)
    store.set_tags(
        outcome.run_id,
        {
            Tag.REPRODUCED: "equal" if verdict.equal else "differs",
            "mlflow.note.content": f"Reproduction of {recorded.kind} `{recorded.name}` (run `{recorded.run_id}`): "
            f"**{verdict}**." + "".join(f"\n\n{warning}" for warning in warnings),
        },
    )
    shutil.rmtree(place, ignore_errors=True)
    return Reproduced(outcome.run_id, recorded, outcome, verdict, warnings)


def _trial(
    recorded: Recorded, images: DataSet, device: torch.device, place: Path, tracked: Tracked, quiet: bool
) -> Outcome:
    from pcdarts_tune.say import Progress
    from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial
    from pcdarts_tune.tasks import Proposal, TrialTask

    assert recorded.evaluation_seed is not None, "a trial has one"
    tags = common_tags("reproduction", recorded.space, images, recorded.seed)
    run = EpochRun.open(tracked, {}, tags, None, device)
    store, run_id = run.store, run.run_id
    series: dict[str, dict[int, float]] = {}
    epochs = {"search": recorded.space.search.epochs, "evaluation": recorded.space.evaluation.epochs}
    ended_at = max(recorded.series.get("evaluation/epoch", {}), default=-1) + 1

    def report(record: dict[str, Any]) -> str | None:
        if record["kind"] == "history":
            return [report(entry) for entry in record["records"]][-1]
        if record["kind"] != "epoch":
            return None
        stage, epoch = record["stage"], record["epoch"]
        numbers = {**record["metrics"], f"{stage}/epoch": epoch}
        for key, value in numbers.items():
            series.setdefault(key, {})[epoch] = value
        run.record(stage, epoch, {**record, "metrics": numbers})
        progress.update(epoch + 1 + (epochs["search"] if stage == "evaluation" else 0), stage)
        # where the original was stopped at a rung, this one stops too
        stopped = "rung" in record and record["rung"]["epochs"] == ended_at < epochs["evaluation"]
        return recorded.reason if stopped else None

    task = TrialTask(
        Proposal(recorded.trial or 0, recorded.seed, {}),
        evaluation_seed=recorded.evaluation_seed,
        space=recorded.space.model_dump_json(),
        folder=str(place / "trial"),
        evaluations=str(place / "evaluations"),
        threads=recorded.threads or 1,
        gpus=1.0 if device.type == "cuda" else 0.0,
        execution=_execution(recorded, device),
    )
    total = sum(epochs.values())
    with run, Progress(f"reproducing {recorded.name}", total, quiet=quiet) as progress:
        ended = run_or_fail(run_trial, task, images, report)

    def end() -> None:
        if ended.genotype is not None:
            store.log_file(run_id, ended.genotype, "genotype.json")
        if ended.objective is not None:
            run.run.log({OBJECTIVE: ended.objective}, 0, mark=OBJECTIVE)
        tags = {Tag.OUTCOME: ended.state, Tag.REASON: ended.reason, Tag.GENOTYPE_HASH: ended.genotype_hash}
        store.set_tags(run_id, tags)
        store.close_run(run_id, "FAILED" if ended.state == "failed" else "FINISHED")

    run.end(end)
    return Outcome(run_id, series, ended.genotype, ended.objective, state=ended.state, reason=ended.reason)


def _search(
    recorded: Recorded, images: DataSet, device: torch.device, place: Path, tracked: Tracked, quiet: bool
) -> Outcome:
    from pcdarts_tune.training.searching import Searching, search

    work = Searching(recorded.space, images, recorded.seed, _execution(recorded, device))
    found = search(work, checkpoint=place / "checkpoint", device=device, tracked=tracked, quiet=quiet)
    if found.undelivered is not None:
        raise found.undelivered
    assert found.run_id is not None, "a reproduction is tracked"
    return Outcome(found.run_id, _series(tracked, found.run_id), found.genotype.to_dict())


def _retraining(
    recorded: Recorded, images: DataSet, device: torch.device, place: Path, tracked: Tracked, quiet: bool
) -> Outcome:
    from pcdarts_tune.training.initial import Initial
    from pcdarts_tune.training.retraining import retrain
    from pcdarts_tune.training.work import Retraining

    assert recorded.genotype is not None, "a retraining has one"
    initial, home = None, place.parent.parent
    if recorded.kind == "finetuning":
        initial = Initial.from_tags(recorded.base, Where(home, recorded.uri))
    work = Retraining(
        recorded.space,
        recorded.genotype,
        images,
        recorded.seed,
        _execution(recorded, device),
        groups=recorded.groups,
        initial=initial,
    )
    done = retrain(work, place / "model", device=device, tracked=tracked, test=False, quiet=quiet)
    assert done.run_id is not None, "a reproduction is tracked"
    return Outcome(
        done.run_id,
        _series(tracked, done.run_id),
        recorded.genotype.to_dict(),
        done.validation_accuracy,
        weights=done.weights,
    )


def _series(tracked: Tracked, run_id: str) -> dict[str, dict[int, float]]:
    from pcdarts_tune.tracking.lookup import Ledger

    ledger = Ledger(tracked.store.uri)
    return ledger.series(ledger.client.get_run(run_id))


def _execution(recorded: Recorded, device: torch.device) -> Execution:
    """As recorded, as far as this device can."""
    lost = device.type == "cpu" and recorded.execution.precision == "tf32"
    return replace(recorded.execution, precision="float32") if lost else recorded.execution


def _device(recorded: Recorded, conditions: Conditions) -> torch.device:
    import torch

    from pcdarts_tune.machine import choose_device

    wanted = recorded.device if conditions.device == "auto" else conditions.device
    if conditions.device == "auto" and wanted == "cuda" and not torch.cuda.is_available():
        wanted = "cpu"  # the warnings say so
    return choose_device(wanted)


def _images(recorded: Recorded, conditions: Conditions) -> DataSet:
    from pcdarts_tune.datasets.load import load_images

    root = conditions.data or recorded.data_root
    images = load_images(recorded.space, root, conditions.where.home, quiet=conditions.quiet)
    if images.digest != recorded.data and not conditions.force:
        raise UserError(
            f"these are not the images of {recorded.name}: digest {images.digest}, it had {recorded.data}",
            hint="--data DIR where the same images are, or --force to run it on these",
        )
    return images


def _token(place: Path) -> str:
    """What finds the reproduction's run again when it goes on."""
    file = place / "reproduction.json"
    if not file.is_file():
        write_json(file, {"token": uuid.uuid4().hex})
    return str(read_json(file)["token"])
