"""Reading what others wrote: only regular files, only as large as they may be, and errors that name the file.

read_json(Path("genotype.json"))
user_path("~/cells.json")

Locks that one process holds; the system lets go of them when that process ends, however it ends.

with sweep_lock(SweepFolder.of(home, "first")):
    ...
"""

from __future__ import annotations

import json
import os
import socket
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

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


class FileLock:
    """A lock on a file, in which the holder writes its process id and host.

    Args:
        path: the file; made where there is none.
        taken: what is said when another process holds it, with `{holder}` in it; hint: what to do then.

    Raises:
        UserError: on entering, when another process holds it, or the file system has no locks.
    """

    PATIENCE = 1.0
    """Seconds to try for: whoever only looks (`is_running`) holds it for an instant."""

    def __init__(self, path: Path, taken: str, hint: str) -> None:
        self._path, self._taken, self._hint = path, taken, hint
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        import fcntl

        file = self._path.open("a+", encoding="utf-8")
        end = time.monotonic() + self.PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(0.05)
                    continue
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise UserError(self._taken.format(holder=holder), hint=self._hint) from None
            except OSError as error:
                file.close()
                raise UserError(
                    f"{self._path} cannot be locked: {error.strerror}",
                    hint="--home on a disk whose file system has locks",
                ) from None
        self._file = file
        with suppress(OSError):  # who holds it is a courtesy; a full disk takes no line
            file.seek(0)
            file.truncate()
            file.write(
                f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
            )
            file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def write_whole(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # a process id is not enough: nodes that share the folder have the same ones
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON value."""
    write_whole(path, json.dumps(value, indent=1) + "\n")
