"""Making a sweep: its folder, its study, and sweep.json, which is written last and makes it one.

sweep = create_sweep(home, "first", space, SweepSettings(), trials=32, data=about_images(images))
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import SweepFolder, write_json
from pcdarts_tune.study import SweepStudy
from pcdarts_tune.sweep import FORMAT, SweepHandle, SweepSettings, study_settings
from pcdarts_tune.tracking import check_uri, has_secret, without_secret

if TYPE_CHECKING:
    from pcdarts_tune.config import Space


def create_sweep(
    home: Path, name: str, space: Space, settings: SweepSettings, *, trials: int, data: dict[str, str]
) -> SweepHandle:
    """A new sweep, not yet run.

    Args:
        data: `name`, `digest`, `source`, `profile` of the data set, for the record.

    Raises:
        UserError: when the name is taken or the folder cannot be written to.
    """
    from pcdarts_tune.recording.provenance import git_revision, versions

    folder = SweepFolder.of(home, name)
    check_free(home, name)
    uri = settings.tracking_uri
    if uri is not None:
        uri = check_uri(uri)
        settings = replace(settings, tracking_uri=f"secret:{without_secret(uri)}" if has_secret(uri) else uri)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder.path} cannot be made: {error.strerror}", hint="--home DIR, or PCDARTS_TUNE_HOME"
        ) from None
    study = SweepStudy.create(folder.study_url, **study_settings(space, settings))
    study.note("target", trials)
    about = {
        "format": FORMAT,
        "name": name,
        "id": uuid.uuid4().hex,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "settings": asdict(settings),
        "space": space.model_dump(mode="json"),
        "data": data,
        "versions": versions(),
        "git": git_revision(),
    }
    # last of all: a folder without it is no sweep, and its name is free
    write_json(folder.record_file, about)
    return SweepHandle(home, folder, uri)


def check_free(home: Path, name: str) -> None:
    """Raises UserError when a sweep of that name exists, offering what to do with it."""
    folder = SweepFolder.of(home, name)
    if folder.record_file.exists():
        raise UserError(
            f"a sweep named {name!r} exists in {home}",
            hint=f"pcdarts-tune resume {name} to go on with it, pcdarts-tune extend {name} --trials +16 "
            "to give it more trials, or another --name",
        )
    # what a sweep that was never fully made left
    for leftover in folder.path.glob("study.db*"):
        leftover.unlink()
