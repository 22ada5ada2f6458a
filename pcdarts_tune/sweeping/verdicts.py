"""How a trial that waits at a rung learns whether it goes on: through Ray's own key-value store, whatever the storage.

The driver decides while it handles the trial's report, so the answer is there when `tune.report` returns. It is kept
nowhere else than in the study (study.reached): after a restart the trial reports its history, and is answered again.
"""

from __future__ import annotations

import json
import logging
import time

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds to wait for an answer; without one the trial goes on, which costs time and loses nothing."""


def answer(folder: str, epochs: int, stop: str | None) -> None:
    """Say whether the trial in `folder` ends after `epochs` epochs of its evaluation, and why."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_key(folder, epochs), json.dumps({"stop": stop}).encode(), overwrite=True)


def await_answer(folder: str, epochs: int) -> str | None:
    """Why the trial ends here; None when it goes on."""
    from ray.experimental.internal_kv import _internal_kv_get

    deadline = time.monotonic() + PATIENCE
    while True:
        said = _internal_kv_get(_key(folder, epochs))
        if said is not None:
            stop: str | None = json.loads(said)["stop"]
            return stop
        if time.monotonic() > deadline:
            log.warning("no answer at the rung after %d epochs of %s: it goes on", epochs, folder)
            return None
        time.sleep(0.05)


def _key(folder: str, epochs: int) -> bytes:
    return f"pcdarts-tune/rung/{folder}/{epochs}".encode()
