"""Run a trial, a search or a retraining again from what was recorded of it, and say whether it comes out the same.

    reproduce(Original.read(Finder(where).find("first:3"))).agreement.equal

The reproduction is a run of its own, tagged `pcdarts.reproduces`; nothing of the original is touched, and the test split is
not read. On a CPU with the same versions and as many threads it comes out equal. One that was interrupted goes on.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.datasets import DataSet
from pcdarts_tune.datasets.load import load_images
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json, write_json
from pcdarts_tune.home import artifact_root
from pcdarts_tune.lineage.original import TRAININGS, Agreement, Original, Rerun, compare
from pcdarts_tune.machine import choose_device, set_threads
from pcdarts_tune.places import place_at
from pcdarts_tune.say import Progress, say
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.sweeps.benchmark import copy_kept
from pcdarts_tune.sweeps.find import Finder
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.sweeps.trials.repeats import metric_name
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial
from pcdarts_tune.tasks import Execution, Proposal, TrialTask
from pcdarts_tune.tracking.lookup import RunReader
from pcdarts_tune.tracking.run import EpochRun, Tracked, common_tags
from pcdarts_tune.tracking.store import OBJECTIVE, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.finetuning import Initial
from pcdarts_tune.training.retraining import retrain
from pcdarts_tune.training.searching import Searching, search
from pcdarts_tune.training.work import Retraining


@dataclass(frozen=True)
class Reproduced:
    """The reproduction's run, how it compares, and what was different beforehand."""

    run_id: str
    original: Original
    agreement: Agreement
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        record = self.original.record
        ids = {"reproduces": record.run_id, "kind": record.kind, "run_id": self.run_id}
        return {**ids, **self.agreement.to_dict(), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class _Job:
    """The work of a reproduction: on which images, where it computes, keeps its files and is recorded."""

    original: Original
    images: DataSet
    device: torch.device
    place: Path
    tracked: Tracked
    quiet: bool

    @property
    def execution(self) -> Execution:
        """As recorded, as far as this device can."""
        execution = self.original.execution
        lost = self.device.type == "cpu" and execution.precision == "tf32"
        return replace(execution, precision="float32") if lost else execution

    def series(self, run_id: str) -> dict[str, dict[int, float]]:
        """The metrics of a run of this reproduction."""
        runs = RunReader(self.tracked.store.uri)
        return runs.series(runs.client.get_run(run_id))


def reproduce(
    original: Original,
    *,
    device: str = "auto",
    data: Path | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Reproduced:
    """Run it again and compare.

    Args:
        device: `cpu`, `cuda`, or `auto` for the kind that the original ran on.
        data: where the images are; None for where the original had them.
        force: go on with other images.
        quiet: no progress.

    Raises:
        UserError: images that cannot be read or are others than the original's.
        NonFiniteLoss: when it diverges, as the original may have.
    """
    record, home = original.record, original.where.home
    if device == "auto":  # where there is no GPU for what ran on one, the warnings say so
        device = original.device if torch.cuda.is_available() else "cpu"
    where = choose_device(device)
    if original.threads is not None and where.type == "cpu":
        # before anything is computed: how sums are split decides their last bits
        set_threads(original.threads)
    images = load_images(original.space, data or original.data_root, home, quiet=quiet)
    digest = record.tags.get(Tag.DATA, "")
    if images.digest != digest and not force:
        wrong = f"these are not the images of {record.name}: digest {images.digest}, it had {digest}"
        raise UserError(wrong, hint="--data DIR where the same images are, or --force to run it on these")
    warnings = tuple(original.warnings(where))
    if not quiet:
        for warning in warnings:
            say(f"note: {warning}")
    place = home / "reproductions" / record.run_id
    store = MlflowStore(record.runs.uri, artifact_root(home))
    origin = {Tag.REPRODUCES: record.run_id}
    tags = {Tag.KIND: "reproduction", **origin, Tag.REPRODUCED_KIND: record.kind}
    token = place / "reproduction.json"  # what finds the run again when the reproduction goes on
    if not token.is_file():
        write_json(token, {"token": uuid.uuid4().hex})
    identity = {**origin, Tag.REPRODUCTION: str(read_json(token)["token"])}
    tracked = Tracked(store, original.space.name, f"reproduction of {record.name}", tags, identity=identity)
    work = {"trial": _run_trial, "search": _run_search}.get(record.kind, _run_training)
    again = work(_Job(original, images, where, place, tracked, quiet))
    agreement = compare(original, again)
    note = f"Reproduction of {record.kind} `{record.name}` (run `{record.run_id}`): **{agreement}**."
    outcome = "equal" if agreement.equal else "differs"
    note_tag = {"mlflow.note.content": "\n\n".join([note, *warnings])}
    store.set_tags(again.run_id, {Tag.REPRODUCED: outcome} | note_tag)
    shutil.rmtree(place, ignore_errors=True)
    return Reproduced(again.run_id, original, agreement, warnings)


def _run_trial(job: _Job) -> Rerun:
    original, device, tags = job.original, job.device, job.original.record.tags
    new_tags = common_tags("reproduction", original.space, job.images, original.seed)
    run = EpochRun.open(job.tracked, {}, new_tags, None, device)
    store, run_id = run.store, run.run_id
    series: dict[str, dict[int, float]] = {}
    epochs = {
        "search": original.space.search_epochs,
        "evaluation": original.space.evaluation.all_epochs,
    }
    ended_at = max(original.series.get("evaluation/epoch", {}), default=-1) + 1

    def report(record: dict[str, Any]) -> str | None:
        if record["kind"] == "history":
            return [report(entry) for entry in record["records"]][-1]
        if record["kind"] != "epoch":
            return None
        stage, epoch = record["stage"], record["epoch"]
        numbers = {**record["metrics"], f"{stage}/epoch": epoch}
        numbers = {metric_name(name, record): value for name, value in numbers.items()}
        for key, value in numbers.items():
            series.setdefault(key, {})[epoch] = value
        run.record(metric_name(stage, record), epoch, {**record, "metrics": numbers})
        before = (record.get("repeat", 1) - 1) * sum(epochs.values())
        progress.update(before + epoch + 1 + (epochs["search"] if stage == "evaluation" else 0), stage)
        # where the original was stopped at a rung, this one stops too
        stopped = "rung" in record and record["rung"]["epochs"] == ended_at < epochs["evaluation"]
        return tags.get(Tag.REASON) if stopped else None

    evaluations = str(job.place / "evaluations")
    if original.space.objective == BENCHMARK:
        kept = open_sweep(original.where, tags.get(Tag.SWEEP, "")).folder.evaluations_address
        copy_kept(place_at(kept), place_at(evaluations))
    task = TrialTask(
        Proposal(int(tags.get(Tag.TRIAL, 0)), original.seed, {}),
        evaluation_seed=derived_seed(int(tags[Tag.SWEEP_SEED]), "evaluation"),
        space=original.space.model_dump_json(),
        folder=str(job.place / "trial"),
        evaluations=evaluations,
        threads=original.threads or 1,
        gpus=1.0 if device.type == "cuda" else 0.0,
        execution=job.execution,
    )
    title = f"reproducing {original.record.name}"
    with run, Progress(title, original.space.repeats * sum(epochs.values()), quiet=job.quiet) as progress:
        ended = run_or_fail(run_trial, task, job.images, report)

    def end() -> None:
        if ended.genotype is not None:
            store.log_file(run_id, ended.genotype, "genotype.json")
        if ended.objective is not None:
            run.run.log({OBJECTIVE: ended.objective}, 0, mark=OBJECTIVE)
        came_of = {Tag.OUTCOME: ended.state, Tag.REASON: ended.reason, Tag.GENOTYPE_HASH: ended.genotype_hash}
        store.set_tags(run_id, came_of)
        store.close_run(run_id, "FAILED" if ended.state == "failed" else "FINISHED")

    run.end(end)
    return Rerun(run_id, series, ended.genotype, ended.objective, state=ended.state)


def _run_search(job: _Job) -> Rerun:
    work = Searching(job.original.space, job.images, job.original.seed, job.execution)
    checkpoint = job.place / "checkpoint"
    found = search(work, checkpoint=checkpoint, device=job.device, tracked=job.tracked, quiet=job.quiet)
    if found.undelivered is not None:
        raise found.undelivered
    assert found.run_id is not None, "a reproduction is tracked"
    return Rerun(found.run_id, job.series(found.run_id), found.genotype.to_dict())


def _run_training(job: _Job) -> Rerun:
    original, record = job.original, job.original.record
    assert record.kind in TRAININGS and record.genotype is not None, "Original.read looked"  # noqa: PT018
    initial = None
    if record.kind == "finetuning":
        where = replace(original.where, tracking_uri=record.runs.uri)
        folder, _ = Finder(where).find(record.tags.get(Tag.BASE_MODEL, ""), "model").model()
        initial = Initial.from_tags(record.tags, folder)
    groups = int(record.tags.get(Tag.GROUPS, "1"))
    work = Retraining(
        original.space, record.genotype, job.images, original.seed, job.execution, groups, initial
    )
    done = retrain(
        work, job.place / "model", device=job.device, tracked=job.tracked, test=False, quiet=job.quiet
    )
    assert done.run_id is not None, "a reproduction is tracked"
    cells, accuracy = record.genotype.to_dict(), done.validation_accuracy
    return Rerun(done.run_id, job.series(done.run_id), cells, accuracy, weights=done.weights)
