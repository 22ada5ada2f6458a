"""What the user can fix, said so that they can fix it. The command line prints these; nothing else catches them.

A full disk: no trial's fault, and nothing that trying again mends. The sweep stops, and goes on when there is space.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Wrong usage or input: exit code 2.

    Args:
        message: what is wrong, where, and what is legal.
        hint: what to try next, printed on a line of its own.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class WorkFailed(UserError):
    """The input was right and the work failed all the same: exit code 1."""

    exit_code = 1


def visible(text: str) -> str:
    """`text` with what would steer a terminal or turn its letters round written as an escape; lines and tabs stay.

    For names that others chose: of files, classes, models, and for what they wrote into configurations.
    """
    return "".join(
        letter if letter in "\n\t" or not _steers(letter) else ascii(letter)[1:-1] for letter in text
    )


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNING


_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that change the direction of writing, so that `gnp.exe` is read as `exe.png`."""


def nearest(word: str, legal: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the nearest legal name, or nothing when none is near."""
    close = difflib.get_close_matches(word, list(legal), 1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


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
