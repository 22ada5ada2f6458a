"""What a run, trial, sweep or model is, where it comes from and what came of it, and how two of them differ.

    differences(describe(finder.find("first:0")), describe(finder.find("first:3"))).settings        # {"supernet.k": (4, 2)}

All is read from tags that the runs carry; a trial of a sweep in this home is read from its study, so that it can be shown when
MLflow has lost it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from pcdarts_tune.core.genotype import SOURCES, AnyGenotype, read_genotype
from pcdarts_tune.lineage.record import (
    Link,
    RunRecord,
    ancestors,
    deciding_settings,
    descendants,
    without_load,
)
from pcdarts_tune.spaces.scores import score_in_full
from pcdarts_tune.spaces.settings import apply
from pcdarts_tune.sweeps.find import Found
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.tasks import TrialRecord
from pcdarts_tune.tracking.champions import champion_history
from pcdarts_tune.tracking.notes import own_tags
from pcdarts_tune.tracking.tags import Tag


@dataclass(frozen=True)
class Subject:
    """One thing that was named.

    Attributes:
        kind: trial, retraining, finetuning, search, promotion, reproduction, sweep, model, genotype or run.
        name: `trial 3 of first`, `first version 2`; `reference`: how to name it again.
        state: complete, failed, finished, ...; `reason` why.
        hyperparameters: what was tuned; `settings`: every value that decided the result, both by dotted key.
        results: numbers, those that matter first.
        about: seed, data, versions, git revision, device.
        note, tags: what a person wrote on it.
    """

    kind: str
    name: str
    reference: str
    run_id: str | None = None
    state: str = ""
    reason: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    genotype: AnyGenotype | None = None
    about: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    came_from: tuple[Link, ...] = ()
    became: tuple[Link, ...] = ()
    next: tuple[str, ...] = ()
    note: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        genotype = self.genotype
        return {each.name: getattr(self, each.name) for each in fields(self)} | {
            "genotype": None if genotype is None else genotype.to_dict(),
            "genotype_hash": None if genotype is None else genotype.canonical_hash(),
            "came_from": [vars(link) for link in self.came_from],
            "became": [vars(link) for link in self.became],
        }


def describe(found: Found) -> Subject:
    """All that is known of what was named, and what a person wrote on it."""
    subject = _describe(found)
    if found.version is not None:
        return replace(subject, note=found.version.description or "", tags=own_tags(found.version.tags))
    if found.cells_alone or found.run is None:
        return subject
    tags = found.run.data.tags
    return replace(subject, note=tags.get(Tag.NOTE, ""), tags=own_tags(tags))


def _describe(found: Found) -> Subject:
    if found.cells_alone:
        cells, draw = found.genotype(), f"pcdarts-tune draw {shlex.quote(found.text)} -o cells.svg"
        about = {"source": SOURCES[found.text]} if found.text in SOURCES else {}
        return Subject(
            "genotype", cells.origin, found.text, genotype=cells.genotype, about=about, next=(draw,)
        )
    record = None if found.run is None else RunRecord(found.runs, found.run)
    if found.version is not None:
        return _describe_model(found, found.version, record)
    if found.sweep is not None and found.trial is not None:
        return _describe_trial(found.sweep, found.trial, record)
    if found.sweep is not None:
        return _describe_sweep(found.sweep, record)
    assert record is not None, "a word names one of these"
    return _describe_run(record)


def _describe_trial(sweep: SweepHandle, trial: TrialRecord, record: RunRecord | None) -> Subject:
    reference, number = f"{sweep.name}:{trial.trial}", trial.trial
    names = ("objective", "standard_error", "seed_std", "params", "macs", "seconds")
    measured = {key: getattr(trial, key) for key in names}
    known = measured | trial.metrics | ({} if record is None else record.results)
    commands = [f"pcdarts-tune reproduce {reference}"]
    if trial.genotype is not None:
        commands = [f"pcdarts-tune promote {sweep.name} --trial {number}", *commands]
        commands.append(f"pcdarts-tune draw {reference} -o cells.svg")
    return Subject(
        "trial",
        f"trial {number} of {sweep.name}",
        reference,
        trial.run_id,
        trial.state,
        trial.reason,
        hyperparameters=trial.hyperparameters,
        results=without_load({key: value for key, value in known.items() if value is not None}),
        genotype=None if trial.genotype is None else read_genotype(trial.genotype),
        about={"seed": trial.seed, **_about_sweep(sweep), **({} if record is None else record.machine)},
        settings=deciding_settings(apply(sweep.space, trial.hyperparameters), "trial"),
        came_from=(Link("sweep", sweep.name, sweep.study.notes().get("run"), f"space {sweep.space.name}"),),
        became=descendants(record),
        next=tuple(commands),
    )


def _describe_sweep(sweep: SweepHandle, record: RunRecord | None) -> Subject:
    records = sweep.records()
    states = ", ".join(f"{number} {state}" for state, number in counts(records).items()) or "no trial yet"
    best = records[0] if records and records[0].objective is not None else None
    trials, genotype = [], None
    if best is not None:
        what = f"best, {score_in_full(sweep.space.objective)} {best.objective:.4f}"
        trials = [Link("trial", f"{sweep.name}:{best.trial}", best.run_id, what)]
        genotype = None if best.genotype is None else read_genotype(best.genotype)
    unfinished = len(records) < sweep.target or any(each.state == "waiting" for each in records)
    return Subject(
        "sweep",
        f"sweep {sweep.name}",
        f"sweep:{sweep.name}",
        None if record is None else record.run_id,
        f"{states} of {sweep.target}" + (", running" if sweep.running else ""),
        hyperparameters={key: str(item) for key, item in sweep.space.tune.items()},
        results={} if best is None or best.objective is None else {"objective": best.objective},
        genotype=genotype,
        about={"seed": sweep.settings.seed, "sampler": sweep.settings.sampler, **_about_sweep(sweep)},
        settings=deciding_settings(sweep.space, "sweep"),
        became=(*trials, *descendants(record)),
        next=(
            f"pcdarts-tune leaderboard {sweep.name}",
            f"pcdarts-tune {'resume' if unfinished else 'promote'} {sweep.name}",
        ),
    )


def _about_sweep(sweep: SweepHandle) -> dict[str, Any]:
    about, data = sweep.about, sweep.about["data"]
    data_set = f"{data['name']}, digest {data['digest']}"
    return {"space": sweep.space.name, "data": data_set, "versions": about["versions"], "git": about["git"]}


def _describe_model(found: Found, version: ModelVersion, record: RunRecord | None) -> Subject:
    reference = f"{version.name}/{version.version}"
    base = Subject("model", "", "") if record is None else _describe_run(record)
    about = {"aliases": ", ".join(version.aliases) or "none"}
    for entry in champion_history(found.runs.client, version.name):
        if entry.version == int(version.version):
            about |= {"champion since": entry.since, "why": entry.why}
    tags = {
        "test/acc": Tag.TEST_ACCURACY,
        "held-out accuracy": Tag.VALIDATION_ACCURACY,
        "held-out mean of the seeds": Tag.VALIDATION_MEAN,
        "held-out std of the seeds": Tag.VALIDATION_STD,
        "seeds": Tag.VALIDATION_N,
    }
    measured = {name: float(version.tags[tag]) for name, tag in tags.items() if tag in version.tags}
    return replace(
        base,
        kind="model",
        name=f"{version.name} version {version.version}",
        reference=reference,
        run_id=version.run_id,
        state="champion" if "champion" in version.aliases else "registered",
        reason=None,
        results=measured | {key: value for key, value in base.results.items() if key not in measured},
        about=about | base.about,
        came_from=() if record is None else (Link.to(record), *base.came_from),
        became=tuple(link for link in base.became if link.kind != "model"),
        next=(
            f"pcdarts-tune predict {reference} IMAGE...",
            f"pcdarts-tune rollback {version.name}",
            f"pcdarts-tune reproduce {reference}",
        ),
    )


def _describe_run(record: RunRecord) -> Subject:
    """A run whose sweep is not in this home, or that belongs to none."""
    tags, run_id, kind = record.tags, record.run_id, record.kind
    name = f"{kind} {record.name}"
    if kind == "trial":
        name = f"trial {tags.get(Tag.TRIAL)} of {tags.get(Tag.SWEEP)}"
    commands = []
    if kind == "search":
        commands.append(f"pcdarts-tune retrain {run_id} -o my-model")
    if kind in ("retraining", "finetuning") and Tag.MODEL in tags:
        commands.append(f"pcdarts-tune predict {tags[Tag.MODEL]} IMAGE...")
    if kind in ("trial", "retraining", "finetuning", "search"):
        commands.append(f"pcdarts-tune reproduce {run_id}")
    if record.genotype is not None:
        commands.append(f"pcdarts-tune draw {run_id} -o cells.svg")
    return Subject(
        kind,
        name,
        run_id,
        run_id,
        tags.get(Tag.OUTCOME, record.run.info.status.lower()),
        tags.get(Tag.REASON),
        hyperparameters=record.config.get("hyperparameters", {}),
        results=record.results,
        genotype=record.genotype,
        about={
            "seed": tags.get(Tag.SEED),
            "space": tags.get(Tag.SPACE),
            "data": f"digest {tags.get(Tag.DATA)}",
            "fine-tuned from": tags.get(Tag.BASE_MODEL),
            "versions": record.versions,
            "git": tags.get("mlflow.source.git.commit"),
            **record.machine,
        },
        settings=record.settings,
        came_from=ancestors(record),
        became=descendants(record),
        next=tuple(commands),
    )


Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Differences:
    """Two subjects and what differs; a value that one of them has not is None.

    Attributes:
        results: numbers, all those that both or one of them have.
        genotype: nodes whose edges differ, by name; None where one of them has no genotype.
        alike: how many settings are equal.
    """

    a: Subject
    b: Subject
    settings: dict[str, Pair]
    results: dict[str, Pair]
    genotype: dict[str, Pair] | None
    about: dict[str, Pair]
    alike: int

    def to_dict(self) -> dict[str, Any]:
        subjects = {"a": self.a, "b": self.b}
        keys = ("name", "reference", "run_id")
        return {name: {key: getattr(one, key) for key in keys} for name, one in subjects.items()} | {
            key: getattr(self, key) for key in ("settings", "results", "genotype", "about")
        }


def differences(a: Subject, b: Subject) -> Differences:
    """Compare two subjects. Settings are compared where both have the section they belong to: a trial has no recipe of
    retraining, and a retraining none of search."""
    common = {_section(key) for key in a.settings} & {_section(key) for key in b.settings}
    in_common = [
        {key: item for key, item in one.settings.items() if _section(key) in common} for one in (a, b)
    ]
    settings, cells = _different(*in_common), None
    if a.genotype is not None and b.genotype is not None:
        cells = _different(genotype_lines(a.genotype), genotype_lines(b.genotype))
    results = {key: (a.results.get(key), b.results.get(key)) for key in {**a.results, **b.results}}
    about = _different(_versions_apart(a.about), _versions_apart(b.about))
    alike = len(in_common[0] | in_common[1]) - len(settings)
    return Differences(a, b, settings, results, cells, about, alike)


def _section(key: str) -> str:
    return key.partition(".")[0]


def _versions_apart(about: dict[str, Any]) -> dict[str, Any]:
    versions = about.get("versions") or {}
    others = {key: value for key, value in about.items() if key != "versions"}
    return others | {f"version of {name}": version for name, version in versions.items()}


def _different(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    return {key: (a.get(key), b.get(key)) for key in {**a, **b} if a.get(key) != b.get(key)}


def genotype_lines(genotype: AnyGenotype) -> dict[str, str]:
    """`normal node 0` -> its edges, and so on for all cells; equal cells give equal lines, whatever their order."""
    lines = {}
    for cell in genotype.graphs():
        names = [f"node {name}" if name.isdigit() else name for name in cell.states]
        for target, edges in cell.sums().items():
            shown = (f"{edge.operation}({names[edge.source]})" for edge in edges)
            lines[f"{cell.kind} {names[target]}"] = " + ".join(shown)
        if cell.concat:
            lines[f"{cell.kind} output"] = f"concat({', '.join(names[i] for i in sorted(cell.concat))})"
    return lines
