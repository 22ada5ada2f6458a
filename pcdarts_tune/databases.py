"""What went wrong with a database, told apart by what it said: a lock, a full disk, a missing right, damage, another version.

    raise find_trouble(error, uri).explain("the Optuna study")      # UserError or WorkFailed, with a hint

A hint never advises to replace a file that may be sound.
"""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pcdarts_tune.addresses import masked_line, sqlite_file, without_secret
from pcdarts_tune.errors import DISK_FULL, UserError, WorkFailed, error_chain

Kind = Literal["locked", "full", "rights", "folder", "disk", "damaged", "older", "newer", "foreign", "other"]

FULL = "make space on that disk, then run it again (a sweep: `pcdarts-tune resume SWEEP`); what was finished is kept"
_SIGNS: tuple[tuple[Kind, str], ...] = (
    ("locked", r"database (table |schema )?is locked|database is busy|locking protocol"),
    ("full", "|".join(map(re.escape, DISK_FULL))),
    ("rights", r"readonly database|read-only|permission denied|access permission|authorization denied"),
    ("folder", r"unable to open database file"),
    (
        "damaged",
        r"file is not a database|file is encrypted|disk image is malformed|malformed database schema",
    ),
    ("disk", r"disk i/o error|input/output error"),
    ("newer", r"update optuna|updating optuna"),
    ("older", r"optuna storage upgrade|out-of-date database schema|mlflow db upgrade"),
    ("foreign", r"no such (table|column)|has no column named"),
)
_LATER: frozenset[Kind] = frozenset({"locked", "full", "disk"})
"""What may be otherwise the next time: the input was right."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the database at `uri`, and what it said, in one line."""

    kind: Kind
    uri: str
    said: str

    @property
    def hint(self) -> str:
        """What to do about it."""
        file = sqlite_file(self.uri)
        place = str(file or without_secret(self.uri)) if self.uri else "its file"
        if self.kind == "folder" and file is not None:
            return _why_not_opened(file)
        upgrade = "optuna storage upgrade --storage" if "optuna" in self.said else "mlflow db upgrade"
        hints: dict[Kind, str] = {
            "locked": f"another process is writing to {place}, or hangs (fuser -v names it); run this again when it has ended. "
            "Nothing is damaged",
            "full": FULL,
            "rights": f"look who may write to {place} and its folder, and whether that disk is mounted read-only",
            "disk": "the disk or the way to it fails (dmesg and `df -i` say more); the file may be sound, so leave it as it is",
            "damaged": f"keep it as it is, and go on from a copy of it, or from what `sqlite3 {place} .recover` can read",
            "newer": f"a newer version made {place}: pip install --upgrade {'optuna' if 'optuna' in self.said else 'mlflow'}",
            "older": f"a copy of it first, then: {upgrade} '{without_secret(self.uri)}'",
            "foreign": f"{place} was made by another program or version, or was not wholly made",
        }
        return hints.get(self.kind, "pcdarts-tune doctor looks at the home and its databases")

    def explain(self, what: str) -> UserError:
        """The error that tells it: `what` names the database, such as "the Optuna study"."""
        kind = WorkFailed if self.kind in _LATER else UserError
        verb = "cannot be read" if self.kind in ("damaged", "foreign") else "cannot be opened"
        if self.kind in _LATER:
            verb = "cannot be used now"
        return kind(f"{what} at {without_secret(self.uri)} {verb}: {self.said}", hint=self.hint)


def open_read_only(file: Path, timeout: float) -> sqlite3.Connection:
    """An SQLite file for reading: none is made where there is none; a process that writes is waited for `timeout` seconds."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout)


def find_trouble(error: BaseException | str, uri: str) -> Trouble:
    """What an error, or the text of one, says about the database at `uri`."""
    said = error if isinstance(error, str) else _said(error)
    said = masked_line(said) or type(error).__name__
    text = said.lower()
    kind: Kind = next((kind for kind, signs in _SIGNS if re.search(signs, text)), "other")
    # MLflow calls every other version out of date
    found = re.search(r"found version (\w+)", said) if kind == "older" else None
    if found is not None and not _known_to_mlflow(found[1]):
        kind = "newer"
    return Trouble(kind, uri, said)


def is_database_error(error: BaseException) -> bool:
    """Whether a database raised it, or what a library made of that."""
    return any(
        isinstance(each, sqlite3.Error) or type(each).__module__ == "sqlalchemy.exc"
        for each in error_chain(error)
    ) or bool(re.search(r"\(sqlite3\.\w+Error\)|out-of-date database schema", str(error)))


def _said(error: BaseException) -> str:
    """What the database itself said, without the statements and advice that libraries put around it."""
    for each in error_chain(error):
        original: Any = each if isinstance(each, sqlite3.Error) else getattr(each, "orig", None)
        if original is not None:
            return str(original)
    match = re.search(r"\(sqlite3\.\w+Error\) ([^\n]+)", str(error))
    return match[1] if match else str(error)


def _why_not_opened(file: Path) -> str:
    """SQLite says the same whatever keeps it from opening a file."""
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    if file.is_dir():
        return f"{file} is a folder"
    if not os.access(file if file.exists() else file.parent, os.W_OK) or not os.access(file.parent, os.W_OK):
        return f"this user may not write to {file} or its folder"
    return f"look at {file}, its folder and the number of open files (`ulimit -n`); the file may be sound"


def _known_to_mlflow(revision: str) -> bool:
    from importlib.util import find_spec

    found = find_spec("mlflow")
    folders = found.submodule_search_locations if found is not None else None
    return any(
        any(Path(folder, "store", "db_migrations", "versions").glob(f"{revision}_*.py"))
        for folder in folders or []
    )
