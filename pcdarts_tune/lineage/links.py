"""The links between runs: up from a retraining to its trial and sweep, down from a trial to the models made of it.

ancestors(record)           # nearest first: (Link("trial", "first:3", …), Link("sweep", "first", …))
descendants(record)         # oldest first: (Link("retraining", …), Link("model", "first/1", …))
"""

from __future__ import annotations

from dataclasses import dataclass

from pcdarts_tune.lineage.record import RunRecord
from pcdarts_tune.tracking.tags import Tag

_UP = {
    Tag.REPRODUCES: "run",
    Tag.BASE_RUN: "run",
    Tag.PROMOTION_RUN: "promotion",
    Tag.TRIAL_RUN: "run",
    Tag.SEARCH_RUN: "search",
    Tag.SWEEP_RUN: "sweep",
}
"""Tags that lead up, nearest first, and the kind of the run that they name, where that run itself is gone."""

_LEADS_ON = (Tag.REPRODUCES, Tag.BASE_RUN, Tag.TRIAL_RUN)
"""Of these, the tags that name a run which itself comes from somewhere."""

_DOWN = (Tag.TRIAL_RUN, Tag.SEARCH_RUN, Tag.PROMOTION_RUN, Tag.BASE_RUN, Tag.REPRODUCES)
"""Tags by which the runs that came of a run are found."""


@dataclass(frozen=True)
class Link:
    """A neighbour: what it is, its name, its MLflow run, and in a few words what it gave."""

    kind: str
    name: str
    run_id: str | None
    what: str = ""

    @classmethod
    def to(cls, record: RunRecord) -> Link:
        """A run as a neighbour."""
        found = {"held-out": record.accuracy, "test": record.run.data.metrics.get("test/acc")}
        what = ", ".join(f"{name} accuracy {value:.4f}" for name, value in found.items() if value is not None)
        return cls(record.kind, record.name, record.run_id, what)


def ancestors(record: RunRecord) -> tuple[Link, ...]:
    """What a run comes from, nearest first; a run that was deleted is named by its id."""
    tags = record.tags
    if Tag.SWEEP_RUN not in tags and record.kind == "trial":
        tags[Tag.SWEEP_RUN] = tags.get("mlflow.parentRunId", "")
    found: dict[str | None, Link] = {}
    for tag, kind in _UP.items():
        if run_id := tags.get(tag):
            run = record.runs.run(run_id)
            if run is None:
                found.setdefault(run_id, Link(kind, "deleted", run_id))
                continue
            above = RunRecord(record.runs, run)
            for link in (Link.to(above), *(ancestors(above) if tag in _LEADS_ON else ())):
                found.setdefault(link.run_id, link)
    links = list(found.values())
    if Tag.BASE_MODEL in tags and Tag.BASE_RUN not in tags:
        links.append(Link("model", tags[Tag.BASE_MODEL], None))
    if not links and Tag.GENOTYPE_ORIGIN in tags:
        links.append(Link("genotype", tags[Tag.GENOTYPE_ORIGIN], None))
    return tuple(links)


def descendants(record: RunRecord | None) -> tuple[Link, ...]:
    """What came of a run, oldest first: trainings, reproductions, versions of models."""
    if record is None:
        return ()
    reader = record.runs
    runs = [run for tag in _DOWN for run in reader.tagged(tag, record.run_id)]
    if record.kind == "sweep":
        of_sweep = reader.tagged(Tag.SWEEP_ID, record.tags.get(Tag.SWEEP_ID))
        wanted = ("retraining", "promotion", "search")
        runs += [run for run in of_sweep if run.data.tags.get(Tag.KIND) in wanted]
    below = {run.info.run_id: run for run in sorted(runs, key=lambda run: run.info.start_time)}
    below.pop(record.run_id, None)
    links = [Link.to(RunRecord(reader, run)) for run in below.values()]
    for run_id in (record.run_id, *below):
        for version in reader.versions_of_run(run_id):
            aliases = "".join(f", {alias}" for alias in version.aliases)
            accuracy = version.tags.get(Tag.TEST_ACCURACY)
            tested = "" if accuracy is None else f"test accuracy {float(accuracy):.4f}"
            links.append(Link("model", f"{version.name}/{version.version}", run_id, tested + aliases))
    return tuple(links)
