"""How machines are divided between trials, and what is refused."""

from __future__ import annotations

import socket

import pytest

from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeping.ray_session import probe
from pcdarts_tune.sweeping.resources import Cluster, Share, share_resources


def machine(cpus: float, gpus: float = 0, nodes: int = 1) -> Cluster:
    return Cluster(cpus * nodes, gpus * nodes, tuple({"CPU": cpus, "GPU": gpus} for _ in range(nodes)))


@pytest.mark.parametrize(
    ("cluster", "asked", "expected"),
    [
        # no GPU: a core each
        (machine(2), {}, Share(1, 0, 2)),
        (machine(16), {}, Share(1, 0, 16)),
        (machine(16), {"cpus": 4}, Share(4, 0, 4)),
        (machine(16), {"most": 3}, Share(1, 0, 3)),
        # a GPU each, cores divided
        (machine(16, 1), {}, Share(16, 1, 1)),
        (machine(16, 4), {}, Share(4, 1, 4)),
        (machine(16, 1), {"gpus": 0.25}, Share(4, 0.25, 4)),
        (machine(2, 1), {"gpus": 0.25}, Share(0.5, 0.25, 4)),
        (machine(16, 2), {"gpus": 0.4}, Share(4, 0.4, 4)),
        (machine(16, 4), {"gpus": 2}, Share(8, 2, 2)),
        (machine(16, 1), {"gpus": 0}, Share(1, 0, 16)),
        # several nodes: no trial spans two
        (machine(3, nodes=2), {"cpus": 2}, Share(2, 0, 2)),
        (machine(8, 2, nodes=4), {}, Share(4, 1, 8)),
    ],
)
def test_shares(cluster: Cluster, asked: dict[str, float], expected: Share) -> None:
    wanted = {"cpus": None, "gpus": None, "most": None, **asked}
    share = share_resources(cluster, trials=100, **wanted)  # type: ignore[arg-type]
    assert share == expected
    assert share.threads == max(1, int(share.cpus))


def test_no_more_at_a_time_than_there_are_trials() -> None:
    assert share_resources(machine(16), trials=3, cpus=None, gpus=None, most=None).concurrent == 3


@pytest.mark.parametrize(("cpus", "gpus"), [(3.0, None), (None, 1.0), (1.0, 8.0)])
def test_what_fits_on_no_node_is_refused(cpus: float | None, gpus: float | None) -> None:
    with pytest.raises(UserError, match="fits on no node"):
        share_resources(machine(2, nodes=4), trials=1, most=None, cpus=cpus, gpus=gpus)


def test_a_share_of_several_gpus_is_refused() -> None:
    with pytest.raises(UserError, match="a share of one GPU"):
        share_resources(machine(16, 4), trials=1, cpus=None, gpus=1.5, most=None)


def test_a_dead_address_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="nothing answers"):
        probe(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match="is not HOST:PORT"):
        probe("somewhere")
    probe("auto")
