"""Files: reading what others wrote, writing whole or not at all, and locks.

>>> write_json(Path("genotype.json"), {})       # the old content or the new one, never a part
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOENT
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

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
    too_long = len(given) > 4000 or any(len(os.fsencode(part)) > 255 for part in given.split(os.sep))
    if too_long or "\0" in given:
        message = f"{given[:80]!r}… cannot be a path: too long, or with a zero byte"
        raise UserError(message, hint="give another path")
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
            kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
            kind = kinds.get(stat.S_IFMT(about.st_mode), "a device")
            raise UserError(f"{path} is not a file but {kind}", hint="give the path of a file")
        content = file.read(most + 1) if about.st_size <= most else b""
    if len(content) > most or about.st_size > most:
        message = f"{path} is larger than {most:,} bytes: it cannot be what is meant"
        raise UserError(message, hint="give another file")
    return content


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        UserError: when the file is not there or is not JSON.
    """
    try:
        return json.loads(read_bytes(path, LARGEST))
    except FileNotFoundError:
        wrong, hint = "does not exist", "pcdarts-tune doctor looks at the home folder"
    except OSError as error:
        wrong, hint = f"cannot be read: {error.strerror or error}", "check it and its permissions"
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        wrong, hint = f"cannot be read as JSON: {reason}", "restore it from a copy, or write it again"
    raise UserError(f"{path} {wrong}", hint=hint)


@contextmanager
def replace_when_written(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """A file of another name beside `path`, to be written in the block; it takes the place of `path` where the block
    ends well, and goes where it does not. A reader sees the old content or the new one, never a part. The other name ends
    in `suffix`, for writers that insist on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # a process id is not enough: nodes that share the folder have the same ones
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        # else a machine that stops could leave the new name on an empty file
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8."""
    with replace_when_written(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_output(path: Path, content: str | bytes) -> None:
    """Write the file that a person named, in a folder that exists, whole or not at all.

    Raises:
        UserError: when the folder is missing or cannot be written to.
    """
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        write_whole(path, content)
    except OSError as error:
        hint = "name a file in a folder that exists and is yours to write to"
        raise UserError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON value."""
    write_whole(path, json.dumps(value, indent=1) + "\n")


@contextmanager
def hold_lock(path: Path, held: str, hint: str) -> Iterator[None]:
    """Hold a lock on a file, in which the process id and host of the holder stand; the system gives the lock back when
    the process ends, however it ends.

    Args:
        path: the file; made where there is none.
        held: what is said when another process holds it, with `{holder}` in it; hint: what to do then.

    Raises:
        UserError: another process holds it, or the file system has no locks.
    """
    # whoever only looks whether it is held (`home.is_running`) holds it for an instant, hence the second
    lock = FileLock(path, timeout=1.0, fallback_to_soft=False, preserve_lock_file=True, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout:
        holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        raise UserError(held.format(holder=holder), hint=hint) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "--home on a disk whose file system has locks"
        raise UserError(f"{path} cannot be locked: {reason}", hint=hint) from None
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    with suppress(OSError):  # who holds it is a courtesy; a full disk takes no line
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed, and what cannot be read or has gone meanwhile
    counts nothing."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:
        return 0
    found, folders = 0, [str(path)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        found += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return found


def remove_tree(path: Path) -> None:
    """Remove a folder with all that lies below it, a file, or a link (and not what it leads to); nothing where there is none.

    Raises:
        OSError: something cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        # what another process removes at the same time is no error
        while path.is_dir():
            with suppress(FileNotFoundError):
                shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
