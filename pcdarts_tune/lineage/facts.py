"""What a run's record says: its space, its settings, its numbers, its machine and versions.

flat(recorded_space(ledger, run), "trial")     # {"search.learning_rate": 0.1, ...}
numbers(run)                                   # {"objective": 0.97, ...}

The links between runs: up from a retraining to its trial and sweep, down from a trial to the models it became.

came_from(ledger, run)      # nearest first
became(ledger, run)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.tracking.lookup import Ledger

STAGES = {
    "trial": ("data", "supernet", "search", "evaluation"),
    "search": ("data", "supernet", "search"),
    "retraining": ("data", "retrain"),
    "finetuning": ("data", "retrain"),
    "promotion": ("data", "retrain"),
    "model": ("data", "retrain"),
    "sweep": ("data", "supernet", "search", "evaluation", "retrain"),
}
"""Kind -> the sections of a space that decided its result."""


def recorded_space(ledger: Ledger, run: Run) -> Space | None:
    """The space with which the run computed, hyperparameters set; None where it kept none that can be read."""
    from pydantic import ValidationError

    from pcdarts_tune.spaces.settings import apply
    from pcdarts_tune.spaces.space import Space

    config = ledger.kept(run, "config.json")
    kept = config.get("space") if isinstance(config, dict) else ledger.kept(run, "space.json")
    if not isinstance(kept, dict):
        return None
    try:
        space = Space.model_validate(kept)
    except ValidationError:  # of another version of this package
        return None
    return apply(space, config["hyperparameters"]) if isinstance(config, dict) else space


def flat(space: Space, kind: str) -> dict[str, Any]:
    """The values of the sections that decided the result of that kind, by dotted key."""
    from pcdarts_tune.spaces.keys import flatten

    return flatten(space.model_dump(mode="json", include=set(STAGES.get(kind, ()))))


def numbers(run: Run) -> dict[str, float]:
    """The last value of each metric that says something of the result; accuracies first."""
    known = telling(run.data.metrics)
    return dict(
        sorted(known.items(), key=lambda item: ("acc" not in item[0] and item[0] != "objective", item[0]))
    )


def telling(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without what says how busy the machine was, and what is said twice."""
    return {
        key: value
        for key, value in metrics.items()
        if not key.startswith(("system/", "trials/"))
        and not key.endswith(("/epoch", "/seconds", "/images_per_second", "/peak_memory_bytes"))
        and not (
            key.startswith("cost/") and key.removeprefix("cost/") in {*metrics, "seconds", "cpus", "gpus"}
        )
    }


def machine(run: Run) -> dict[str, str]:
    """What it was computed on."""
    prefix = "pcdarts."
    names = ("device", "threads", "precision", "compile", "graphs", "latency", "weights")
    return {name: run.data.tags[prefix + name] for name in names if prefix + name in run.data.tags}


def versions(run: Run) -> dict[str, str]:
    """The versions it was computed with."""
    prefix = Tag.VERSION
    return {key.removeprefix(prefix): value for key, value in run.data.tags.items() if key.startswith(prefix)}


_UP = (
    (Tag.REPRODUCES, ""),
    (Tag.BASE_RUN, ""),
    (Tag.PROMOTION_RUN, "promotion"),
    (Tag.TRIAL_RUN, ""),
    (Tag.SEARCH_RUN, "search"),
    (Tag.SWEEP_RUN, "sweep"),
)
"""Tags that lead up, nearest first, and the kind of run they name; one with no kind says it itself."""

_LEADS_ON = (Tag.REPRODUCES, Tag.BASE_RUN, Tag.TRIAL_RUN)
"""Of these, the tags that name a run which itself came from somewhere."""

_DOWN = (
    Tag.TRIAL_RUN,
    Tag.SEARCH_RUN,
    Tag.PROMOTION_RUN,
    Tag.BASE_RUN,
    Tag.REPRODUCES,
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
    if Tag.SWEEP_RUN not in tags and tags.get(Tag.KIND) == "trial":
        tags[Tag.SWEEP_RUN] = tags.get("mlflow.parentRunId", "")
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
    if Tag.BASE_MODEL in tags and Tag.BASE_RUN not in tags:
        found.append(Link("model", tags[Tag.BASE_MODEL], None))
    if not found and Tag.GENOTYPE_ORIGIN in tags:
        found.append(Link("genotype", tags[Tag.GENOTYPE_ORIGIN], None))
    return tuple(found)


def became(ledger: Ledger, run: Run | None) -> tuple[Link, ...]:
    """What came of a run, oldest first: trainings, reproductions, versions of models."""
    if run is None:
        return ()
    run_id = run.info.run_id
    runs: dict[str, Run] = {}
    for tag in _DOWN:
        runs |= {each.info.run_id: each for each in ledger.tagged(tag, run_id)}
    if run.data.tags.get(Tag.KIND) == "sweep":
        of_sweep = ledger.tagged(Tag.SWEEP_ID, run.data.tags.get(Tag.SWEEP_ID))
        wanted = ("retraining", "promotion", "search")
        runs |= {each.info.run_id: each for each in of_sweep if each.data.tags.get(Tag.KIND) in wanted}
    runs.pop(run_id, None)
    links = [link_to(each) for each in sorted(runs.values(), key=lambda each: each.info.start_time)]
    for each in (run_id, *runs):
        for version in ledger.versions_of_run(each):
            aliases = "".join(f", {alias}" for alias in version.aliases)
            accuracy = version.tags.get(Tag.TEST_ACCURACY)
            tested = "" if accuracy is None else f"test accuracy {float(accuracy):.4f}"
            links.append(Link("model", f"{version.name}/{version.version}", each, tested + aliases))
    return tuple(links)


def link_to(run: Run) -> Link:
    """A run as a neighbour."""
    tags, metrics = run.data.tags, run.data.metrics
    kind = tags.get(Tag.KIND, "run")
    if kind == "trial":
        name = f"{tags.get(Tag.SWEEP)}:{tags.get(Tag.TRIAL)}"
    elif kind == "sweep":
        name = tags.get(Tag.SWEEP, run.info.run_name)
    else:
        name = run.info.run_name
    said = (
        ("held-out accuracy", metrics.get("objective", metrics.get("retrain/acc_held_out"))),
        ("test accuracy", metrics.get("test/acc")),
    )
    what = ", ".join(f"{text} {value:.4f}" for text, value in said if value is not None)
    return Link(kind, str(name), run.info.run_id, what)
