"""What a run, trial, sweep or model is, where it comes from and what came of it.

    subject = describe(Finder(where).find("first@champion"))
    subject.came_from       # (Link("retraining", …), Link("trial", …), Link("sweep", …))

Model version -> retraining -> trial (or single search) -> sweep, and back, all from tags that the runs carry; a trial
of a sweep in this home is read from its study, so that it can be shown when MLflow has lost it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.lineage.facts import (
    Link,
    became,
    came_from,
    flat,
    link_to,
    machine,
    numbers,
    recorded_space,
    telling,
    versions,
)
from pcdarts_tune.spaces import naming
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pcdarts_tune.lineage.references import Named
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import TrialRecord
    from pcdarts_tune.tracking.lookup import Ledger


@dataclass(frozen=True)
class Subject:
    """One thing that was named.

    Attributes:
        kind: trial, retraining, finetuning, search, promotion, reproduction, sweep, model, genotype or run.
        name: `trial 3 of first`, `first version 2`.
        state: complete, failed, finished, ...; `reason` why.
        hyperparameters: what was tuned, by dotted key.
        settings: every value of the space that decided the result, by dotted key.
        results: numbers, those that matter first.
        about: seed, data, versions, git revision, device.
        reference: how to name it again.
    """

    kind: str
    name: str
    reference: str
    run_id: str | None = None
    state: str = ""
    reason: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    results: dict[str, float] = field(default_factory=dict)
    genotype: Genotype | None = None
    about: dict[str, Any] = field(default_factory=dict)
    came_from: tuple[Link, ...] = ()
    became: tuple[Link, ...] = ()
    commands: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        genotype = self.genotype
        return {
            "kind": self.kind,
            "name": self.name,
            "reference": self.reference,
            "run_id": self.run_id,
            "state": self.state,
            "reason": self.reason,
            "hyperparameters": self.hyperparameters,
            "results": self.results,
            "genotype": None if genotype is None else genotype.to_dict(),
            "genotype_hash": None if genotype is None else genotype.canonical_hash(),
            "about": self.about,
            "settings": self.settings,
            "came_from": [vars(link) for link in self.came_from],
            "became": [vars(link) for link in self.became],
            "next": list(self.commands),
        }


def describe(named: Named) -> Subject:
    """All that is known of what was named."""
    if named.genotype is not None:
        name = named.genotype.origin
        draw = f"pcdarts-tune draw {named.text} -o cells.svg"
        return Subject("genotype", name, named.text, genotype=named.genotype.genotype, commands=(draw,))
    if named.version is not None:
        return _model(named)
    if named.trial is not None and named.sweep is not None:
        return _trial(named, named.sweep, named.trial)
    if named.sweep is not None:
        return _sweep(named, named.sweep)
    assert named.run is not None, "a text names one of these"
    return _run(named.ledger, named.run)


def _trial(named: Named, sweep: SweepHandle, record: TrialRecord) -> Subject:
    from pcdarts_tune.spaces.settings import apply

    reference = f"{sweep.name}:{record.trial}"
    run, name = named.run, sweep.name
    measured = {} if run is None else numbers(run)
    known = {
        "objective": record.objective,
        "params": record.params,
        "macs": record.macs,
        "seconds": record.seconds,
        **record.metrics,
        **measured,
    }
    commands = [f"pcdarts-tune reproduce {reference}"]
    if record.genotype is not None:
        commands = [f"pcdarts-tune promote {name} --trial {record.trial}", *commands]
    if record.run_id is not None and record.genotype is not None:
        commands.append(f"pcdarts-tune draw {record.run_id} -o cells.svg")
    return Subject(
        "trial",
        f"trial {record.trial} of {name}",
        reference,
        record.run_id,
        record.state,
        record.reason,
        record.hyperparameters,
        flat(apply(sweep.space, record.hyperparameters), "trial"),
        telling({key: value for key, value in known.items() if value is not None}),
        None if record.genotype is None else Genotype.from_dict(record.genotype),
        {"seed": record.seed, **_about_sweep(sweep), **({} if run is None else machine(run))},
        (Link("sweep", name, sweep.study.notes().get("run"), f"space {sweep.space.name}"),),
        became(named.ledger, run),
        tuple(commands),
    )


def _sweep(named: Named, sweep: SweepHandle) -> Subject:
    from pcdarts_tune.sweeps.sweep import counts

    records = sweep.records()
    states = ", ".join(f"{number} {state}" for state, number in counts(records).items()) or "no trial yet"
    best = records[0] if records and records[0].objective is not None else None
    trials = [] if best is None else [
        Link("trial", f"{sweep.name}:{best.trial}", best.run_id, f"best, held-out accuracy {best.objective:.4f}")
    ]  # fmt: skip
    todo = (
        "resume"
        if len(records) < sweep.target or any(r.state in ("waiting",) for r in records)
        else "promote"
    )
    return Subject(
        "sweep",
        f"sweep {sweep.name}",
        f"sweep:{sweep.name}",
        None if named.run is None else named.run.info.run_id,
        f"{states} of {sweep.target}" + (", running" if sweep.running else ""),
        None,
        {key: str(item) for key, item in sweep.space.tune.items()},
        flat(sweep.space, "sweep"),
        {} if best is None or best.objective is None else {"objective": best.objective},
        None if best is None or best.genotype is None else Genotype.from_dict(best.genotype),
        {"seed": sweep.settings.seed, "sampler": sweep.settings.sampler, **_about_sweep(sweep)},
        (),
        (*trials, *became(named.ledger, named.run)),
        (f"pcdarts-tune leaderboard {sweep.name}", f"pcdarts-tune {todo} {sweep.name}"),
    )


def _about_sweep(sweep: SweepHandle) -> dict[str, Any]:
    about = sweep.about
    return {
        "space": sweep.space.name,
        "data": f"{about['data']['name']}, digest {about['data']['digest']}",
        "versions": about["versions"],
        "git": about["git"],
    }


def _model(named: Named) -> Subject:
    from pcdarts_tune.tracking.champions import history

    version, run = named.version, named.run
    assert version is not None, "the caller looked"
    reference = f"{version.name}/{version.version}"
    base = None if run is None else _run(named.ledger, run)
    aliases = ", ".join(version.aliases) or "none"
    reigns = [
        reign for reign in history(named.ledger.client, version.name) if reign.version == int(version.version)
    ]
    about = {"aliases": aliases} | (
        {"champion since": reigns[-1].since, "why": reigns[-1].why} if reigns else {}
    )
    measured = {
        name: float(version.tags[tag])
        for name, tag in (
            ("test/acc", Tag.TEST_ACCURACY),
            ("held-out accuracy", Tag.VALIDATION_ACCURACY),
            ("held-out mean of the seeds", Tag.VALIDATION_MEAN),
            ("held-out std of the seeds", Tag.VALIDATION_STD),
            ("seeds", Tag.VALIDATION_N),
        )
        if tag in version.tags
    }
    link = () if run is None else (link_to(run),)
    return Subject(
        "model",
        f"{version.name} version {version.version}",
        reference,
        version.run_id,
        "champion" if "champion" in version.aliases else "registered",
        None,
        {} if base is None else base.hyperparameters,
        {} if base is None else base.settings,
        measured | ({} if base is None else {k: v for k, v in base.results.items() if k not in measured}),
        None if base is None else base.genotype,
        about | ({} if base is None else base.about),
        (*link, *(() if base is None else base.came_from)),
        () if run is None else tuple(each for each in became(named.ledger, run) if each.kind != "model"),
        (
            f"pcdarts-tune predict {reference} IMAGE...",
            f"pcdarts-tune rollback {version.name}",
            f"pcdarts-tune reproduce {reference}",
        ),
    )


def _run(ledger: Ledger, run: Run) -> Subject:
    """A run whose sweep is not in this home, or that belongs to none."""
    tags, run_id = run.data.tags, run.info.run_id
    kind = tags.get(Tag.KIND, "run")
    cells = ledger.kept(run, "genotype.json")
    space = recorded_space(ledger, run)
    config = ledger.kept(run, "config.json") or {}
    name = {
        "trial": f"trial {tags.get(Tag.TRIAL)} of {tags.get(Tag.SWEEP)}",
        "sweep": f"sweep {tags.get(Tag.SWEEP)}",
    }.get(kind, f"{kind} {run.info.run_name}")
    commands = []
    if kind in ("trial", "retraining", "finetuning", "search"):
        commands.append(f"pcdarts-tune reproduce {run_id}")
    if kind == "search":
        commands.insert(
            0, f"pcdarts-tune retrain {run_id} --space {tags.get(Tag.SPACE, 'SPACE')} -o my-model"
        )
    if kind in ("retraining", "finetuning") and Tag.MODEL in tags:
        commands.insert(0, f"pcdarts-tune predict {tags[Tag.MODEL]} IMAGE...")
    if cells is not None:
        commands.append(f"pcdarts-tune draw {run_id} -o cells.svg")
    return Subject(
        kind,
        name,
        run_id,
        run_id,
        tags.get(Tag.OUTCOME, run.info.status.lower()),
        tags.get(Tag.REASON),
        config.get("hyperparameters", {}),
        {} if space is None else flat(space, kind),
        numbers(run),
        None if cells is None else Genotype.from_dict(cells),
        {
            "seed": tags.get(Tag.SEED),
            "space": tags.get(Tag.SPACE),
            "data": f"digest {tags.get(Tag.DATA)}",
            "fine-tuned from": tags.get(Tag.BASE_MODEL),
            "versions": versions(run),
            "git": tags.get("mlflow.source.git.commit"),
            **machine(run),
        },
        came_from(ledger, run),
        became(ledger, run),
        tuple(commands),
    )


def settings_in_words(subject: Subject) -> str:
    """`K=4 lr=.124`: what was tuned."""
    return naming.settings(subject.hyperparameters)
