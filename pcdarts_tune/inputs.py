"""Reading what others wrote: only regular files, only as large as they may be, and errors that name the file.

read_json(Path("genotype.json"))
user_path("~/cells.json")
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError

LARGEST = 64_000_000
"""Bytes of a JSON file that are read at the most: the records of a trial of thousands of epochs."""


def user_path(text: str | Path) -> Path:
    """A path as a person wrote it, `~` resolved.

    Raises:
        UserError: when no file could have it.
    """
    given = str(text)
    if not given:
        raise UserError("an empty path", hint="'.' is the folder that you are in")
    if (
        "\0" in given
        or len(given) > 4000
        or any(len(os.fsencode(part)) > 255 for part in given.split(os.sep))
    ):
        raise UserError(
            f"{given[:80]!r}… cannot be a path: too long, or with a zero byte", hint="give another path"
        )
    try:
        return Path(given).expanduser()
    except RuntimeError:  # ~nobody/…
        raise UserError(f"{given!r}: there is no such user's home folder", hint="~/… is your own") from None


def read_bytes(path: Path, most: int) -> bytes:
    """What a file holds. A pipe is not waited for, and a device not read without end.

    Raises:
        UserError: when it is no regular file, or larger than `most` bytes.
        OSError: when the system refuses it.
    """
    # without O_NONBLOCK, opening a pipe waits for somebody to write into it
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise UserError(
                f"{path} is not a file but {_kind(about.st_mode)}", hint="give the path of a file"
            )
        content = file.read(most + 1) if about.st_size <= most else b""
    if len(content) > most or about.st_size > most:
        raise UserError(
            f"{path} is larger than {most:,} bytes: it cannot be what is meant", hint="give another file"
        )
    return content


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        UserError: when the file is not there or is not JSON.
    """
    try:
        return json.loads(read_bytes(path, LARGEST))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist", hint="pcdarts-tune doctor looks at the home folder"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}", hint="check it and its permissions"
        ) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(
            f"{path} cannot be read as JSON: {reason}", hint="restore it from a copy, or write it again"
        ) from None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
