"""What MLflow keeps of one run, and the runs it is linked with: up from a retraining to its trial and sweep, down from a trial
to the models made of it.

RunRecord(runs, run).results        # {"objective": 0.97, ...}
ancestors(record)                   # nearest first: (Link("trial", "first:3", …), Link("sweep", "first", …))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlflow.entities import Run
from pydantic import ValidationError

from pcdarts_tune import plugins
from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.spaces.keys import flatten, identity
from pcdarts_tune.spaces.settings import apply
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tracking.lookup import RunReader
from pcdarts_tune.tracking.tags import Tag

SECTIONS = {
    "trial": {"data", "supernet", "search", "derive", "evaluation"},
    "search": {"data", "supernet", "search", "derive"},
    "retraining": {"data", "retrain"},
    "finetuning": {"data", "retrain"},
    "promotion": {"data", "retrain"},
    "sweep": {"data", "supernet", "search", "derive", "evaluation", "retrain"},
}
"""Kind of a run -> the sections of a space that decide its result."""


def deciding_settings(space: Space, kind: str) -> dict[str, Any]:
    """The values of the sections that decide the result of that kind, by dotted key; without what came after older versions,
    where it has its default."""
    include = SECTIONS.get(kind, set())
    if space.repeats > 1 and "search" in include and kind != "search":
        include = include | {"repeats"}
    if space.objective != "accuracy" and "evaluation" in include:
        include = include | {"objective"}
    return flatten({name: value for name, value in identity(space).items() if name in include})


def without_load(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics without those that say how busy the machine was, or what another one says (of a trial that searches
    several times, the numbers of its first search stand for all)."""
    of_machine = ("/epoch", "/seconds", "/images_per_second", "/peak_memory_bytes")
    repeated = {f"cost/{name}" for name in (*metrics, "seconds", "cpus", "gpus")}
    return {
        key: value
        for key, value in metrics.items()
        if not key.startswith(("system/", "trials/", "repeat_"))
        and not key.endswith(of_machine)
        and key not in repeated
    }


@dataclass(frozen=True)
class RunRecord:
    """A run and the store that keeps it."""

    runs: RunReader
    run: Run

    @property
    def run_id(self) -> str:
        return str(self.run.info.run_id)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.run.data.tags)

    @property
    def kind(self) -> str:
        """trial, search, retraining, finetuning, promotion, reproduction, sweep; `run` where it does not say."""
        return self.tags.get(Tag.KIND, "run")

    @property
    def name(self) -> str:
        """What it is called: a trial as `first:3`, a sweep by its name, others as MLflow calls them."""
        if self.kind == "trial":
            return f"{self.tags.get(Tag.SWEEP)}:{self.tags.get(Tag.TRIAL)}"
        own = str(self.run.info.run_name)
        return self.tags.get(Tag.SWEEP, own) if self.kind == "sweep" else own

    @cached_property
    def genotype(self) -> AnyGenotype | None:
        """The cells that it found or trained."""
        cells = self.runs.json(self.run, "genotype.json")
        if cells is None:
            return None
        try:
            return read_genotype(cells)
        except ValueError:
            self.declare_plugins()
            return read_genotype(cells)

    def declare_plugins(self) -> None:
        """Know the plug-ins that it was computed with, as far as they may run here."""
        kept = self.runs.json(self.run, plugins.ARTIFACT)
        plugins.declare(kept or (), trusted=False, origin=f"the MLflow run {self.run_id}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """A trial's seed, hyperparameters and the space they are laid over."""
        return self.runs.json(self.run, "config.json") or {}

    @cached_property
    def space(self) -> Space | None:
        """The space it computed with, hyperparameters set; None where it keeps none that this version can read."""
        kept = self.config.get("space") if self.config else self.runs.json(self.run, "space.json")
        if not isinstance(kept, dict):
            return None
        try:
            space = Space.model_validate_json(json.dumps(kept))
        except ValidationError:
            try:
                self.declare_plugins()
                space = Space.model_validate_json(json.dumps(kept))
            except ValidationError:  # of another version of this package
                return None
        return apply(space, self.config["hyperparameters"]) if self.config else space

    @property
    def settings(self) -> dict[str, Any]:
        """The values of the space that decided its result, by dotted key."""
        return {} if self.space is None else deciding_settings(self.space, self.kind)

    @property
    def results(self) -> dict[str, float]:
        """The last value of each metric that says something of the result; accuracies first."""
        known = without_load(self.run.data.metrics)
        return dict(
            sorted(known.items(), key=lambda item: ("acc" not in item[0] and item[0] != "objective", item))
        )

    @property
    def accuracy(self) -> float | None:
        """On held-out images at the end."""
        metrics = self.run.data.metrics
        return metrics.get("objective", metrics.get("retrain/acc_held_out"))

    @property
    def machine(self) -> dict[str, str]:
        """What it was computed on, and how."""
        names = ("device", "threads", "precision", "compile", "graphs", "latency", "weights")
        return {name: self.tags[f"pcdarts.{name}"] for name in names if f"pcdarts.{name}" in self.tags}

    @property
    def versions(self) -> dict[str, str]:
        """Package -> the version it was computed with."""
        prefix = Tag.VERSION
        return {key.removeprefix(prefix): value for key, value in self.tags.items() if key.startswith(prefix)}


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
