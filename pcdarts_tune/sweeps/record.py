"""sweep.json: what a sweep is made of. It is written once and whole, and checked when it is read: a disk or an editor may have
spoilt it.

    about, settings = read_record(folder.record_file)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json
from pcdarts_tune.tasks import Execution

FORMAT = 1
"""The format of sweep.json; a file of another one is refused."""


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep is made of besides its space. sweep.json has a path within the home as seen from the home.

    Attributes:
        seed: of proposals, searches and evaluations.
        sampler: how hyperparameters are proposed.
        data_root: `--data`, absolute.
        tracking_uri: None for the home's own store.
        study_uri: of the PostgreSQL database that holds the study, without its password; None for study.db.
        storage: where its trials leave files, when not in its folder: a path or a URL (places.py), its own.
        max_failures: how often a trial whose process was lost is started again.
        precision, compile, graphs: of its trials, see `tasks.Execution`.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    seed: NonNegativeInt = 0
    sampler: str = "tpe"
    data_root: str | None = None
    tracking_uri: str | None = None
    study_uri: str | None = None
    storage: str | None = None
    max_failures: NonNegativeInt = 2
    precision: str = "float32"
    compile: bool = False
    graphs: bool | str = "auto"

    @property
    def execution(self) -> Execution:
        """How its trials are executed, and its promotions unless they are told otherwise."""
        return Execution(self.precision, self.compile, self.graphs)


@dataclass(frozen=True)
class _Data:
    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True)
class _Record:
    id: str
    settings: SweepSettings
    space: dict[str, Any]
    data: _Data
    versions: dict[str, str]
    git: str | None


def read_record(file: Path) -> tuple[dict[str, Any], SweepSettings]:
    """What sweep.json says, and the settings in it.

    Raises:
        UserError: when it is of another format, or is not what a sweep writes.
    """
    about = read_json(file)
    if isinstance(about, dict) and about.get("format") != FORMAT:
        raise UserError(
            f"{file} has format {str(about.get('format'))[:40]}, this version reads {FORMAT}",
            hint="the version of pcdarts-tune that made it",
        )
    try:
        # as JSON, in which an object may fill a dataclass, whatever else is strict
        return about, TypeAdapter(_Record).validate_json(json.dumps(about), strict=True).settings
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = [".".join(str(part)[:40] for part in first["loc"]), first["msg"]]
        hint = "restore it from a copy: study.db and trials/ beside it hold the results, and are as they were"
        if first["type"] == "unexpected_keyword_argument":
            hint = "a newer version of pcdarts-tune wrote it: take that one"
        raise UserError(
            f"{file} is not what a sweep writes: {': '.join(filter(None, what))}",
            hint=hint,
        ) from None
