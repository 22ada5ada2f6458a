"""A full disk: no trial's fault, and nothing that trying again mends. The sweep stops, and goes on when there is space."""

from __future__ import annotations

from pathlib import Path

from pcdarts_tune.errors import WorkFailed

SIGNS = (
    "no space left on device",  # ENOSPC
    "disk quota exceeded",  # EDQUOT
    "database or disk is full",  # SQLite
    "disk full",  # PostgreSQL's class of errors
)
"""What errors for want of space say, in small letters, whoever passed them on."""


class DiskFull(WorkFailed):
    """There is no space where the sweep writes."""


def says_full(said: object) -> bool:
    """Whether an error, or the text of one, is for want of space."""
    text = str(said).lower()
    return any(sign in text for sign in SIGNS)


def disk_full(folder: Path, name: str, said: object) -> DiskFull:
    """What the person is told. `said`: the error that it was noticed by, or its text."""
    # of a whole traceback that Ray passes on, the line that says it
    lines = [line.strip() for line in str(said).splitlines() if says_full(line)]
    line = (lines or [str(said)])[-1]
    return DiskFull(
        f"the disk is full: {line[:300]}",
        hint=f"make space (the sweep writes to {folder}), then pcdarts-tune resume {name}; "
        "trials that ended stay, the others go on from their last checkpoint",
    )
