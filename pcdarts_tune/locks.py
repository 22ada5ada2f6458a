"""Locks that one process holds; the system lets go of them when that process ends, however it ends.

with sweep_lock(SweepFolder.of(home, "first")):
    ...
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import SweepFolder


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


def sweep_lock(folder: SweepFolder) -> FileLock:
    """Held by the one process that runs a sweep."""
    return FileLock(
        folder.path / "lock",
        f"sweep {folder.name!r} is already being run, by {{holder}}",
        f"pcdarts-tune status {folder.name}, or wait for it, or stop that process",
    )


def is_running(folder: SweepFolder) -> bool:
    """Whether a process holds the sweep's lock; writes nothing, and False where that cannot be told."""
    import fcntl

    try:
        with (folder.path / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file: it never ran
        return False
    return False
