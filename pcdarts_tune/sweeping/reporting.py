"""A trial's reports on their way to the driver: in order, none left out, beside the training.

    reporter = Reporter(lambda records: tune.report({"records": records}))
    reporter.put(record)        # returns at once
    reporter.flush()            # waits until the driver has them

Ray lets a function go on only when the driver has dealt with its report and asked for the next; a thread waits for
that in the trial's place. What gathers meanwhile goes in one report.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pcdarts_tune.core.background import Background


class Reporter:
    """Passes records on.

    Args:
        send: gives a list of records, as JSON, to the driver; returns when it has them. What it raises (SystemExit, when
            the trial shall end) is raised by the next `put` or `flush`.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send_records = send
        self._waiting: list[str] = []
        self._background = Background("reports", daemon=True)

    def put(self, record: dict[str, Any]) -> None:
        """Report a record."""
        self._waiting.append(json.dumps(record))
        self._background.put(self._send)

    def flush(self) -> None:
        """Wait until the driver has every record."""
        self._background.flush()

    def _send(self) -> None:
        # a record that comes while these are sent has put in a job of its own
        taken = len(self._waiting)
        if taken:
            self._send_records(f"[{','.join(self._waiting[:taken])}]")
            del self._waiting[:taken]
