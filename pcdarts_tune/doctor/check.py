"""One line of what `doctor` says.

>>> warn("shared memory", "64 MiB in /dev/shm", "docker run --shm-size=2g")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    name: str
    status: Status
    said: str
    todo: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "status": self.status, "said": self.said, "do": self.todo or None}


def ok(name: str, said: str) -> Check:
    """All is well."""
    return Check(name, "ok", said)


def warn(name: str, said: str, todo: str) -> Check:
    """It works, but slower or less safely than it could."""
    return Check(name, "warn", said, todo)


def fail(name: str, said: str, todo: str) -> Check:
    """It does not work."""
    return Check(name, "fail", said, todo)
