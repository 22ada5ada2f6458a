"""Errors that a person can mend, which the command line prints with a hint, and what kind of error another one is.

raise UserError("--groups 3 cannot be divided among 2 workers", hint="--groups 4")
"""

from __future__ import annotations

import difflib
import errno
import unicodedata
from collections.abc import Iterable, Iterator


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

    def steers(letter: str) -> bool:
        controls = unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") and letter not in "\n\t"
        return controls or letter in _TURNING

    return "".join(ascii(letter)[1:-1] if steers(letter) else letter for letter in text)


_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that change the direction of writing, so that `gnp.exe` is read as `exe.png`."""


def nearest(word: str, legal: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the nearest legal name, or nothing when none is near."""
    close = difflib.get_close_matches(word, list(legal), 1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_line(error: BaseException, length: int = 300) -> str:
    """The text of an error as one line of at most `length` characters, or the name of its class where it has none."""
    return " ".join(str(error).split())[:length] or type(error).__name__


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from or while handling, each once."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


LOOK_AT_THE_DISK = "look who may read it, and at its disk (dmesg): the file may be sound"
"""What to do where the system refuses a file, which says nothing of what is in it."""
DISK_FULL = (
    "no space left on device",  # ENOSPC
    "disk quota exceeded",  # EDQUOT
    "database or disk is full",  # SQLite
    "disk full",  # PostgreSQL's class of errors
)
"""What errors for want of space say, in small letters, whoever passed them on."""
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "_status_alloc_failed",  # cuBLAS, cuDNN
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
)
"""What errors for want of memory say, in small letters: libraries under torch have no exception of their own."""


def is_disk_full(error: object) -> bool:
    """Whether an error, or the text of one, is for want of space: no trial's fault, and nothing that trying again mends."""
    text = str(error).lower()
    return any(sign in text for sign in DISK_FULL)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is for want of memory, of the machine or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return any(sign in text for sign in OUT_OF_MEMORY)
