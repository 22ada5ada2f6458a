"""What a home holds, quickly: its sweeps and its registered models, one entry each.

    for entry in list_sweeps(where): print(entry.name, entry.state, entry.best, entry.bytes)

Studies in SQLite and the home's own MLflow store are read from their files, so that 200 sweeps take a second. What is damaged is
an entry that says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import size_of
from pcdarts_tune.home import SweepFolder, Where, is_running, sweep_names
from pcdarts_tune.sweeps.record import SweepSettings, read_record
from pcdarts_tune.sweeps.study.glance import Glance, glance_at
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.tasks import ENDED
from pcdarts_tune.tracking.lookup import RunReader, VersionEntry, registered_versions
from pcdarts_tune.tracking.moved import place_of
from pcdarts_tune.tracking.tags import Tag


@dataclass(frozen=True)
class SweepEntry:
    """One sweep.

    Attributes:
        state: running, done, unfinished (nobody runs it, and trials are left), or damaged, with the `reason`.
        trials: how many it shall have; `states`: how many are in each state.
        best: the highest score, of the objective that the space names; `best_trial`: whose.
        bytes: of its folder; `storage`: where its trials' files are instead, when that is elsewhere.
        created: when it was made, as sweep.json has it.
    """

    name: str
    state: str
    bytes: int
    space: str = ""
    method: str = ""
    data: str = ""
    objective: str = ""
    trials: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    best: float | None = None
    best_trial: int | None = None
    storage: str | None = None
    created: str = ""
    reason: str | None = None

    @property
    def ended(self) -> int:
        """Trials that have ended, however."""
        return sum(self.states.get(state, 0) for state in ENDED)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_sweeps(where: Where) -> list[SweepEntry]:
    """The sweeps of a home, oldest first."""
    return [_look_at(where, SweepFolder.of(where.home, name)) for name in sweep_names(where.home)]


def _look_at(where: Where, folder: SweepFolder) -> SweepEntry:
    taken = size_of(folder.path)
    try:
        about, settings = read_record(folder.record_file)
    except UserError as error:
        return SweepEntry(folder.name, "damaged", taken, reason=str(error))
    space = about["space"]
    search = space.get("search")
    known: dict[str, Any] = {
        "space": str(space.get("name", "")),
        "method": str(search.get("method", "pc-darts")) if isinstance(search, dict) else "",
        "data": str(about["data"]["name"]),
        "objective": str(space.get("objective", "accuracy")),
        "storage": settings.storage,
        "created": str(about.get("created", "")),
    }
    try:
        found = glance(where, folder, settings)
    except UserError as error:
        return SweepEntry(folder.name, "damaged", taken, reason=str(error), **known)
    running = is_running(folder)
    state = "running" if running else "done" if found.ended >= found.target else "unfinished"
    states = dict(found.states)
    if not running and (left := states.pop("running", 0)):  # they wait to be resumed
        states["waiting"] = states.get("waiting", 0) + left
    number, score = found.best or (None, None)
    return SweepEntry(
        folder.name,
        state,
        taken,
        trials=found.target,
        states=states,
        best=score,
        best_trial=number,
        **known,
    )


def glance(where: Where, folder: SweepFolder, settings: SweepSettings) -> Glance:
    """What the study of a sweep says, wherever it is.

    Raises:
        UserError, WorkFailed: it cannot be read.
    """
    if settings.study_uri is None:
        return glance_at(folder.path / "study.db")
    sweep = SweepHandle(replace(where, study_uri=None), folder)
    records = sweep.study.records()
    best = records[0] if records and records[0].objective is not None else None
    scored = None if best is None or best.objective is None else (best.trial, best.objective)
    left = frozenset(record.trial for record in records if record.state in ("running", "waiting"))
    return Glance(sweep.target, counts(records), scored, left)


@dataclass(frozen=True)
class ModelEntry:
    """A version of a registered model.

    Attributes:
        bytes: of its files in MLflow; None where they are not on this machine.
        created: when it was registered, in the form of sweep.json.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    test_accuracy: float | None
    held_out_accuracy: float | None
    bytes: int | None
    run_id: str
    created: str

    @property
    def reference(self) -> str:
        """How commands name it: `first/2`."""
        return f"{self.model}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        return {"reference": self.reference, **asdict(self), "aliases": list(self.aliases)}


def list_models(where: Where) -> list[ModelEntry]:
    """The versions of the registered models, by name and number.

    Raises:
        UserError: the store cannot be read.
    """
    found = registered_versions(where.home) if where.tracking_uri is None else _versions_elsewhere(where)
    return [_entry(version) for version in found]


def _versions_elsewhere(where: Where) -> list[VersionEntry]:
    client = RunReader(where.mlflow_uri).client
    aliases: dict[tuple[str, int], list[str]] = {}
    for model in client.search_registered_models(max_results=1000):
        for alias, number in model.aliases.items():
            aliases.setdefault((model.name, int(number)), []).append(alias)
    entries = [
        VersionEntry(
            each.name,
            int(each.version),
            tuple(sorted(aliases.get((each.name, int(each.version)), ()))),
            int(each.creation_timestamp or 0),
            each.run_id or "",
            each.source or "",
            dict(each.tags),
        )
        for each in client.search_model_versions(max_results=10_000)
    ]
    return sorted(entries, key=lambda entry: (entry.model, entry.version))


def _entry(version: VersionEntry) -> ModelEntry:
    def number(tag: str) -> float | None:
        try:
            return float(version.tags[tag])
        except (KeyError, ValueError):
            return None

    created = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(version.created / 1000))
    local = version.source.startswith(("file:", "/"))
    place = place_of(version.source) if local else Path()
    return ModelEntry(
        version.model,
        version.version,
        version.aliases,
        number(Tag.TEST_ACCURACY),
        number(Tag.VALIDATION_ACCURACY),
        size_of(place) if local and place.exists() else None,
        version.run_id,
        created,
    )
