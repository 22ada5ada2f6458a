"""An ordered queue of deliveries to a store, made by one thread and tried again until they succeed.

    outbox = Outbox()
    outbox.put(lambda: client.log_metric(...))
    left = outbox.close(timeout=60)         # how many could not be delivered

Whoever puts one in never waits, and an error in a delivery never reaches them.
"""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from pcdarts_tune.addresses import masked_line
from pcdarts_tune.tracking.scope import answering_at_once

log = logging.getLogger(__name__)

Delivery = Callable[[], object]


class Outbox:
    """Deliveries in order.

    Args:
        on_trouble: called before a delivery is tried again, so that it may look what the failed attempt left.
        patience: seconds for which a delivery is tried; after that it is dropped and counted, unless the store cannot be
            reached, which is waited for however long it takes. A defect is dropped at once.
        longest_pause: seconds between attempts, at most.

    Attributes:
        dropped: how many deliveries were dropped; `refused`: what they were about.
        last_error: of the last attempt that failed; `trouble`: the error that is holding deliveries up now.
    """

    MOMENT = 3.0
    """Seconds that closing may take without a word."""

    UNDER_WAY = 40.0
    """Seconds that a delivery which has begun is waited for beyond the time to close; MLflow gives up a request sooner."""

    SETTLES = 1.0
    """Seconds after which a server that answers again has done what it was sent before."""

    def __init__(
        self,
        on_trouble: Callable[[Exception], None] | None = None,
        *,
        patience: float = 60.0,
        longest_pause: float = 10.0,
    ) -> None:
        self._on_trouble = on_trouble or (lambda error: None)
        self._patience, self._longest_pause = patience, longest_pause
        self._waiting: deque[tuple[Delivery, int | None]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._deadline = math.inf
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self.refused: set[int] = set()
        self.last_error: str | None = None
        self.trouble: str | None = None

    def put(self, delivery: Delivery, about: int | None = None) -> None:
        """Queue a delivery; returns at once. `about`: what `refused` names it by when it is dropped."""
        with self._changed:
            self._waiting.append((delivery, about))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)

    def close(self, timeout: float, waiting: Callable[[int], None] | None = None) -> int:
        """Wait until everything is delivered, `timeout` seconds at most. After that no delivery begins, and the one
        under way is waited for, as whoever delivers the rest would do it twice.

        Args:
            waiting: called with how many deliveries are left when it takes longer than a moment.

        Returns:
            How many deliveries are left or were dropped.
        """
        with self._changed:
            self._closing, self._deadline = True, time.monotonic() + timeout
            self._changed.notify_all()
        if self._thread is not None:
            moment = min(self.MOMENT, timeout)
            self._thread.join(moment)
            if self._thread.is_alive() and waiting is not None:
                waiting(len(self._waiting))
            self._thread.join(timeout - moment + self.UNDER_WAY)
        return len(self._waiting) + self.dropped

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting or time.monotonic() >= self._deadline:
                    return
                delivery, about = self._waiting[0]
            with answering_at_once():
                delivered = self._deliver(delivery, about)
            if not delivered:
                return
            with self._changed:
                self._waiting.popleft()

    def _deliver(self, delivery: Delivery, about: int | None) -> bool:
        """Try until it succeeds or is hopeless; False when the time to close is over."""
        begun, doubt, unanswered = time.monotonic(), None, False
        pause = min(0.5, self._longest_pause)
        while True:
            try:
                if doubt is not None:
                    # until it is known what the failed attempt left, another could leave it twice
                    self._on_trouble(doubt)
                    if unanswered:
                        # a server that stood still may do now what it was sent then
                        if not self._pause(self.SETTLES):
                            return False
                        self._on_trouble(doubt)
                    doubt, unanswered = None, False
                delivery()
                self.trouble = None
                return True
            except Exception as error:  # whatever a store may raise: the work goes on
                doubt, unanswered = error, unanswered or "timed out" in str(error).lower()
                self.trouble = self.last_error = describe_error(error)
                log.debug("a delivery failed", exc_info=True)
                out_of_patience = time.monotonic() - begun > self._patience
                if is_defect(error) or (
                    out_of_patience and not _AWAY.search(f"{type(error).__name__} {error}")
                ):
                    self.dropped += 1
                    self.trouble = None
                    if about is not None:
                        self.refused.add(about)
                    return True
                if not self._pause(pause):
                    return False
                pause = min(2 * pause, self._longest_pause)

    def _pause(self, seconds: float) -> bool:
        """Wait; False when the time to close ran out meanwhile."""
        end = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < min(end, self._deadline):
                self._changed.wait(min(end, self._deadline) - now)
            return now < self._deadline


_NO_ANSWER = re.compile(
    r"connection refused|timed out|timeout expired|connection reset|connection aborted|no route to host|"
    r"network is unreachable|name or service not known|remote end closed connection",
    re.IGNORECASE,
)
_AWAY = re.compile(
    r"connection|timed out|timeout|max retries|unavailable|\b50[234]\b|\blocked\b|\bis full\b|no space left",
    re.IGNORECASE,
)
"""The store cannot be reached, as against refusing this one delivery."""


def describe_error(error: Exception) -> str:
    """An error in one line for people; the same for every request that nobody answers."""
    text = " ".join(str(error).split())
    if (sign := _NO_ANSWER.search(text)) is not None:
        return f"no answer ({sign[0].lower()})"
    return masked_line(error)


def is_defect(error: Exception) -> bool:
    """Whether it is a mistake of ours: trying again would only hold the others up."""
    if isinstance(error, OSError):  # requests' errors, some of which are ValueErrors too
        return False
    return isinstance(
        error, ValueError | TypeError | LookupError | AttributeError | AssertionError | ImportError
    )
