"""Single numbers for a paper's table: what each search of a sweep's trials, or each training of a promotion or of `retrain`,
gave, with the settings that it had.

    read_trials(sweep, sweep.records(), "")[0].values["accuracy"]               # of one search
    read_trainings("cells", Path("cells"))[0].values["test_accuracy"]           # of one model below a folder
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import TrialRecord, hours

OF_TRIALS = ("accuracy", "params", "macs", "cpu_hours", "gpu_hours")
_OF_SEARCHES = ("supernet.", "search.", "evaluation.")
OF_TRAININGS = ("test_accuracy", "held_out_accuracy", "params", "macs")


@dataclass(frozen=True)
class Reading:
    """What one search, or one training, gave.

    Attributes:
        names: what it is of: `sweep` (or the folder), `trial`, `genotype`.
        setting: gives the value that a dotted key of the space had; raises KeyError where that is not known.
        values: by name, see `OF_TRIALS` and `OF_TRAININGS`; what is not known is left out.
        recipe: equal where accuracies can be compared.
    """

    names: Mapping[str, Any]
    setting: Callable[[str], Any]
    values: Mapping[str, float]
    recipe: str


def read_trials(sweep: SweepHandle, records: Iterable[TrialRecord], recipe: str) -> list[Reading]:
    """Of every search of the sweep's trials that are complete; `recipe` is equal for sweeps that score cells alike."""
    return [
        reading
        for record in records
        if record.objective is not None
        for reading in _searches(sweep, record, recipe)
    ]


def _searches(sweep: SweepHandle, record: TrialRecord, recipe: str) -> list[Reading]:
    def setting(key: str) -> Any:
        return record.hyperparameters[key] if key in record.hyperparameters else _looked_up(sweep, key)

    spent = hours(record)
    cost = {} if spent is None else {f"{spent.unit.lower()}_hours": spent.hours / record.searches}
    own = {key: getattr(record, key) for key in ("objective", "params", "macs", "genotype_hash")}
    found = []
    for search in record.repeats or [own]:
        known = {"accuracy": search["objective"], "params": search.get("params"), "macs": search.get("macs")}
        names = {"sweep": sweep.name, "trial": record.trial, "genotype": _short(search.get("genotype_hash"))}
        found.append(Reading(names, setting, cost | _known(known), recipe))
    return found


def read_promotions(sweep: SweepHandle) -> list[Reading]:
    """Of every training of the sweep's promotions."""
    drawn = {record.trial: record.hyperparameters for record in sweep.records()}
    found = []
    for origin, genotype in _models(sweep.folder.path / "promotions"):
        trial = origin.get("trial")
        name = genotype if trial is None else f"trial {trial}"
        names = {"sweep": sweep.name, "trial": trial, "genotype": name}
        found.append(_training(names, origin, None if trial is None else drawn.get(trial)))
    return found


def read_trainings(name: str, folder: Path) -> list[Reading]:
    """Of every model below a folder, such as `retrain --seeds` leaves; the folder may be a model itself."""
    found = []
    for origin, genotype in _models(folder):
        names = {"sweep": name, "trial": origin.get("trial"), "genotype": origin.get("genotype", genotype)}
        found.append(_training(names, origin, None))
    return found


def _training(
    names: Mapping[str, Any], origin: Mapping[str, Any], drawn: Mapping[str, Any] | None
) -> Reading:
    """`drawn`: the hyperparameters of the trial that found the cell; None where no trial did, so that nothing is known of a
    search."""

    def setting(key: str) -> Any:
        if drawn is not None and key in drawn:
            return drawn[key]
        value: Any = origin["settings"]
        for part in key.split("."):
            value = value[part]
        if drawn is None and key.startswith(_OF_SEARCHES):
            raise KeyError(key)
        return value

    result, cost = origin["result"], origin.get("cost") or {}
    values = {
        "test_accuracy": result.get("test_accuracy"),
        "held_out_accuracy": result.get("validation_accuracy"),
        "params": cost.get("params"),
        "macs": cost.get("macs"),
    }
    return Reading(names, setting, _known(values), str(origin.get("setting", "")))


def _models(folder: Path) -> list[tuple[Mapping[str, Any], str]]:
    """The origin, and the short hash of the genotype, of each model in the folder or at most two folders below it; what is
    being written, or not whole, is left out."""
    found = []
    for pattern in ("model.json", "*/model.json", "*/*/model.json"):
        for file in sorted(folder.glob(pattern)):
            try:
                origin = json.loads(file.read_text(encoding="utf-8"))["origin"]
                cells = json.loads((file.parent / "genotype.json").read_text(encoding="utf-8"))
                if isinstance(origin["result"], dict):
                    found.append((origin, read_genotype(cells).canonical_hash()[:8]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return found


def _looked_up(sweep: SweepHandle, key: str) -> Any:
    try:
        return lookup(sweep.space, key)
    except AttributeError:
        raise KeyError(key) from None


def _known(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if value is not None}


def _short(digest: str | None) -> str:
    return (digest or "")[:8]
