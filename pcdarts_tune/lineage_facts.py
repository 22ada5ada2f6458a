"""What a run's record says: its space, its settings, its numbers, its machine and versions.

flat(recorded_space(ledger, run), "trial")     # {"search.learning_rate": 0.1, ...}
numbers(run)                                   # {"objective": 0.97, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pcdarts_tune.config import Space
    from pcdarts_tune.recording.ledger import Ledger

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
    import json

    from pydantic import ValidationError

    from pcdarts_tune.config import Space
    from pcdarts_tune.spaces import apply

    config = ledger.kept(run, "config.json")
    kept = config.get("space") if isinstance(config, dict) else ledger.kept(run, "space.json")
    if not isinstance(kept, dict):
        return None
    try:
        space = Space.model_validate_json(json.dumps(kept))
    except ValidationError:  # of another version of this package
        return None
    return apply(space, config["hyperparameters"]) if isinstance(config, dict) else space


def flat(space: Space, kind: str) -> dict[str, Any]:
    """The values of the sections that decided the result of that kind, by dotted key."""
    values = space.model_dump(mode="json", include=set(STAGES.get(kind, ())))

    def walk(part: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in part.items():
            found |= walk(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return found

    return walk(values, "")


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
    prefix = "pcdarts.version."
    return {key.removeprefix(prefix): value for key, value in run.data.tags.items() if key.startswith(prefix)}
