"""sweep.json, read again: what a sweep is made of. It is written once and whole; a disk or an editor may still spoil it.

about = read_record(folder.record_file, FORMAT, SweepSettings)
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json

_PARTS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "settings": dict,
    "space": dict,
    "data": dict,
    "versions": dict,
    "git": (str, type(None)),
}
_DATA = ("name", "digest", "source", "profile")


def read_record(file: Path, version: int, settings: type) -> dict[str, Any]:
    """What sweep.json says.

    Args:
        version: the format that is read.
        settings: the dataclass that its settings fill; their defaults say which kinds of values there are.

    Raises:
        UserError: when it is of another version, or is not what a sweep writes.
    """
    about = read_json(file)
    if not isinstance(about, dict):
        raise _spoilt(file, "it holds no object")
    if about.get("format") != version:
        raise UserError(
            f"{file} has format {str(about.get('format'))[:40]}, this version reads {version}",
            hint="the version of pcdarts-tune that made it",
        )
    for name, kind in _PARTS.items():
        if not isinstance(about.get(name), kind):
            raise _spoilt(file, f"{name} lacks or is of another kind")
    if wrong := [name for name in _DATA if not isinstance(about["data"].get(name), str)]:
        raise _spoilt(file, f"data.{wrong[0]} lacks or is no text")
    if not all(isinstance(value, str) for value in about["versions"].values()):
        raise _spoilt(file, "versions are texts")
    known = {field.name: field.default for field in fields(settings)}
    for name, value in about["settings"].items():
        if name not in known:
            raise _spoilt(file, f"settings.{name[:40]} is unknown")
        if not _alike(value, known[name]):
            raise _spoilt(file, f"settings.{name} is of another kind")
    return about


def _alike(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind; a default of None stands for a text that may lack."""
    if default is None:
        return value is None or isinstance(value, str)
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, str):
        return isinstance(value, str | bool)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _spoilt(file: Path, what: str) -> UserError:
    return UserError(
        f"{file} is not what a sweep writes: {what}",
        hint="restore it from a copy: study.db and trials/ beside it hold the results, and are as they were",
    )
