"""Ray starts on a busy machine, where it gives up after 30 s of waiting for itself."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pcdarts_tune.cluster import session
from pcdarts_tune.errors import UserError


def raylets() -> int:
    children = psutil.Process(os.getpid()).children(recursive=True)
    return sum(child.name() == "raylet" and child.status() != psutil.STATUS_ZOMBIE for child in children)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Ray's own start, whose node is not there at the first `late[0]` looks, each of which takes half a minute of its clock."""
    import ray
    from ray._private import node, services

    looks, found, clock = [1], services.get_node, itertools.count(0, 31)

    def get_node(*args: Any, **options: Any) -> Any:
        if looks[0]:
            looks[0] -= 1
            raise RuntimeError("no such node")
        return found(*args, **options)

    monkeypatch.setattr(services, "get_node", get_node)
    monkeypatch.setattr(
        node, "time", SimpleNamespace(**{**vars(time), "monotonic": lambda: float(next(clock))})
    )
    yield looks
    ray.shutdown()


def test_ray_starts_again_where_it_gave_up(late: list[int]) -> None:
    import ray

    with session.ray_running(address=None):
        assert ray.is_initialized()
        assert late == [0]
        assert raylets() == 1
    assert raylets() == 0


def test_a_machine_that_is_too_busy_is_named(late: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "STARTS", 1)
    said = r"did not start within 1 times 30 s \(load \d+ on \d+ cores\)"
    with pytest.raises(UserError, match=said), session.ray_running(address=None):
        raise AssertionError("it started")
    assert raylets() == 0
