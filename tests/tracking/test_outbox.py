"""Deliveries: in order, again after an error, never in the way of whoever puts them in."""

from __future__ import annotations

import threading
import time

import pytest

from pcdarts_tune.tracking.outbox import Outbox


def test_deliveries_come_in_order_and_again_after_an_error() -> None:
    done: list[int] = []
    failures = iter([ConnectionError("refused"), ConnectionError("refused")])
    looked: list[Exception] = []

    def flaky() -> None:
        for error in failures:
            raise error
        done.append(1)

    outbox = Outbox(looked.append, longest_pause=0.05)
    outbox.put(lambda: done.append(0))
    outbox.put(flaky)
    outbox.put(lambda: done.append(2))
    assert outbox.close(timeout=30) == 0
    assert done == [0, 1, 2]
    assert len(looked) == 2
    assert "refused" in str(outbox.last_error)


def test_what_cannot_be_delivered_is_counted_and_given_up_at_the_end() -> None:
    def away() -> None:
        raise ConnectionError("nobody there")

    outbox = Outbox(longest_pause=0.05)
    for _ in range(3):
        outbox.put(away)
    assert outbox.close(timeout=0.3) == 3
    assert outbox.last_error == "nobody there"


def test_a_defect_holds_nothing_up() -> None:
    done: list[str] = []

    def broken() -> None:
        raise KeyError("never there")

    outbox = Outbox()
    outbox.put(broken)
    outbox.put(lambda: done.append("next"))
    assert outbox.close(timeout=30) == 1
    assert done == ["next"]


def test_putting_in_never_waits() -> None:
    gate = threading.Event()
    outbox = Outbox()
    outbox.put(lambda: assert_set(gate))
    for _ in range(100):
        outbox.put(lambda: None)
    assert len(outbox) > 90
    gate.set()
    assert outbox.close(timeout=30) == 0


def assert_set(gate: threading.Event) -> None:
    assert gate.wait(30)


def test_nothing_is_sent_again_before_it_is_known_what_arrived() -> None:
    log: list[str] = []
    looks = iter([ConnectionError("still away"), ConnectionError("still away")])

    def answer_lost() -> None:
        log.append("sent")
        if log.count("sent") == 1:
            raise ConnectionError("the answer was lost")

    def look(error: Exception) -> None:
        for trouble in looks:
            raise trouble
        log.append("looked")

    outbox = Outbox(look, longest_pause=0.05)
    outbox.put(answer_lost)
    assert outbox.close(timeout=30) == 0
    assert log == ["sent", "looked", "sent"]


def test_after_the_time_to_close_nothing_begins_and_what_has_begun_is_waited_for() -> None:
    done: list[str] = []

    def slow() -> None:
        time.sleep(1.0)
        done.append("begun in time")

    outbox = Outbox()
    outbox.put(slow)
    outbox.put(lambda: done.append("too late: another driver delivers it"))
    assert outbox.close(timeout=0.2) == 1
    assert done == ["begun in time"]
    time.sleep(0.2)
    assert done == ["begun in time"]


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionError("refused"), True),
        (Exception("API request failed: 503 Server Error"), True),
        (Exception("(sqlite3.OperationalError) database is locked"), True),
        (Exception("(sqlite3.OperationalError) database or disk is full"), True),
        (Exception("INVALID_PARAMETER_VALUE: run 0a502f77 has no such metric"), False),
        (Exception("the value was not successfully parsed, at 1503421987502"), False),
    ],
)
def test_a_store_that_cannot_be_reached_is_told_from_one_that_refuses(error: Exception, passes: bool) -> None:
    tries: list[int] = []

    def delivery() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise error

    outbox = Outbox(patience=-1.0, longest_pause=0.01)
    outbox.put(delivery)
    assert outbox.close(timeout=30) == (0 if passes else 1)
    assert len(tries) == (3 if passes else 1)


def test_what_is_refused_is_named_and_what_waits_is_told() -> None:
    gate = threading.Event()

    def refused() -> None:
        raise ValueError("no such run")

    outbox = Outbox()
    outbox.MOMENT = 0.1
    outbox.put(refused, about=7)
    outbox.put(lambda: assert_set(gate), about=8)
    told: list[int] = []

    def waiting(left: int) -> None:
        told.append(left)
        gate.set()

    assert outbox.close(timeout=60, waiting=waiting) == 1
    assert outbox.refused == {7}
    assert told == [1]
    assert outbox.trouble is None
    assert outbox.last_error == "no such run"
