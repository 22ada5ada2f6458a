"""The links between runs: up from a retraining to its trial and sweep, down from a trial to the models it became.

came_from(ledger, run)      # nearest first
became(ledger, run)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pcdarts_tune.recording.ledger import Ledger

_UP = (
    ("pcdarts.reproduces", ""),
    ("pcdarts.base_run", ""),
    ("pcdarts.promotion_run", "promotion"),
    ("pcdarts.trial_run", ""),
    ("pcdarts.search_run", "search"),
    ("pcdarts.sweep_run", "sweep"),
)
"""Tags that lead up, nearest first, and the kind of run they name; one with no kind says it itself."""

_LEADS_ON = ("pcdarts.reproduces", "pcdarts.base_run", "pcdarts.trial_run")
"""Of these, the tags that name a run which itself came from somewhere."""

_DOWN = (
    "pcdarts.trial_run",
    "pcdarts.search_run",
    "pcdarts.promotion_run",
    "pcdarts.base_run",
    "pcdarts.reproduces",
)
"""Tags by which what came of a run is found."""


@dataclass(frozen=True)
class Link:
    """A neighbour: what it is, its name, its MLflow run, and in a few words what it gave."""

    kind: str
    name: str
    run_id: str | None
    what: str = ""


def came_from(ledger: Ledger, run: Run) -> tuple[Link, ...]:
    """What a run comes from, nearest first; a run that was deleted is named by its id."""
    tags = dict(run.data.tags)
    if "pcdarts.sweep_run" not in tags and tags.get("pcdarts.kind") == "trial":
        tags["pcdarts.sweep_run"] = tags.get("mlflow.parentRunId", "")
    found: list[Link] = []
    for tag, kind in _UP:
        if run_id := tags.get(tag):
            other = ledger.run(run_id)
            link = Link(kind or "run", "deleted", run_id) if other is None else link_to(other)
            if link.run_id not in {each.run_id for each in found}:
                found.append(link)
            if other is not None and tag in _LEADS_ON:
                # the tags of a trial lead on to its sweep, those of a model's training to its trial
                further = came_from(ledger, other)
                found += [each for each in further if each.run_id not in {one.run_id for one in found}]
    if "pcdarts.base_model" in tags and "pcdarts.base_run" not in tags:
        found.append(Link("model", tags["pcdarts.base_model"], None))
    if not found and "pcdarts.genotype_origin" in tags:
        found.append(Link("genotype", tags["pcdarts.genotype_origin"], None))
    return tuple(found)


def became(ledger: Ledger, run: Run | None) -> tuple[Link, ...]:
    """What came of a run, oldest first: trainings, reproductions, versions of models."""
    if run is None:
        return ()
    run_id = run.info.run_id
    runs: dict[str, Run] = {}
    for tag in _DOWN:
        runs |= {each.info.run_id: each for each in ledger.tagged(tag, run_id)}
    if run.data.tags.get("pcdarts.kind") == "sweep":
        of_sweep = ledger.tagged("pcdarts.sweep_id", run.data.tags.get("pcdarts.sweep_id"))
        wanted = ("retraining", "promotion", "search")
        runs |= {each.info.run_id: each for each in of_sweep if each.data.tags.get("pcdarts.kind") in wanted}
    runs.pop(run_id, None)
    links = [link_to(each) for each in sorted(runs.values(), key=lambda each: each.info.start_time)]
    for each in (run_id, *runs):
        for version in ledger.versions_of_run(each):
            aliases = "".join(f", {alias}" for alias in version.aliases)
            accuracy = version.tags.get("pcdarts.test_accuracy")
            tested = "" if accuracy is None else f"test accuracy {float(accuracy):.4f}"
            links.append(Link("model", f"{version.name}/{version.version}", each, tested + aliases))
    return tuple(links)


def link_to(run: Run) -> Link:
    """A run as a neighbour."""
    tags, metrics = run.data.tags, run.data.metrics
    kind = tags.get("pcdarts.kind", "run")
    if kind == "trial":
        name = f"{tags.get('pcdarts.sweep')}:{tags.get('pcdarts.trial')}"
    elif kind == "sweep":
        name = tags.get("pcdarts.sweep", run.info.run_name)
    else:
        name = run.info.run_name
    said = (
        ("held-out accuracy", metrics.get("objective", metrics.get("retrain/acc_held_out"))),
        ("test accuracy", metrics.get("test/acc")),
    )
    what = ", ".join(f"{text} {value:.4f}" for text, value in said if value is not None)
    return Link(kind, str(name), run.info.run_id, what)
