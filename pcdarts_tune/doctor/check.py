"""One result of `doctor`: `warn("shared memory", "64 MiB free in /dev/shm", "docker run --shm-size=2g")`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pcdarts_tune.addresses import masked_line
from pcdarts_tune.errors import UserError


@dataclass(frozen=True)
class Check:
    """What was checked, what was found, and what to do about it, which is empty where all is well."""

    name: str
    finding: str
    advice: str = ""
    status: Literal["ok", "warn", "fail"] = "ok"

    def to_dict(self) -> dict[str, Any]:
        """The object that `doctor --json` prints."""
        return {"name": self.name, "status": self.status, "said": self.finding, "do": self.advice or None}


ok = Check
"""A check that passed."""
warn = partial(Check, status="warn")
"""A check of something that works, but slower or less safely than it could."""
fail = partial(Check, status="fail")
"""A check of something that does not work."""


def run_check(name: str, check: Callable[[], Check], explain: Callable[[str], tuple[str, str]]) -> Check:
    """The result of `check`, or a failed check where it raises; `explain` makes finding and advice of the text, in one line,
    of an error that is not a `UserError`."""
    try:
        return check()
    except UserError as error:
        return fail(name, str(error), error.hint or "")
    except Exception as error:  # databases, servers and Ray raise many kinds
        return fail(name, *explain(masked_line(error)))
