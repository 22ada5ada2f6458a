"""How machines are divided between trials, and what is refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pcdarts_tune.cluster.resources import Cluster, Share, share_resources
from pcdarts_tune.cluster.session import require_ray
from pcdarts_tune.errors import UserError


def machine(cpus: float, gpus: float = 0, nodes: int = 1) -> Cluster:
    return Cluster(cpus * nodes, gpus * nodes, tuple({"CPU": cpus, "GPU": gpus} for _ in range(nodes)))


@pytest.mark.parametrize(
    ("cluster", "asked", "expected"),
    [
        # no GPU: a core each
        (machine(2), {}, Share(1, 0, 2)),
        (machine(16), {}, Share(1, 0, 16)),
        (machine(16), {"cpus": 4}, Share(4, 0, 4)),
        (machine(16), {"most": 3}, Share(5, 0, 3)),
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


def nodes(*each: tuple[float, float]) -> Cluster:
    cpus, gpus = (sum(column) for column in zip(*each, strict=True))
    return Cluster(cpus, gpus, tuple({"CPU": cpu, "GPU": gpu} for cpu, gpu in each))


@pytest.mark.parametrize(
    ("cluster", "asked", "expected"),
    [
        # cores are divided among the trials that run at a time
        (machine(16), {"trials": 4}, Share(4, 0, 4)),
        (machine(16), {"trials": 3}, Share(5, 0, 3)),
        (machine(16), {"trials": 1}, Share(16, 0, 1)),
        (machine(16), {"trials": 9}, Share(1, 0, 9)),
        (machine(16), {"trials": 8, "most": 2}, Share(8, 0, 2)),
        (machine(16), {"trials": 4, "cpus": 1}, Share(1, 0, 4)),
        (machine(16, nodes=2), {"trials": 3}, Share(8, 0, 3)),
        (machine(16, 4), {"most": 2}, Share(8, 1, 2)),
        (machine(16, 4), {"trials": 1}, Share(16, 1, 1)),
        (machine(1, 1), {"gpus": 0.125}, Share(0.12, 0.125, 8)),
        # nodes that differ: a share is of the node that a trial runs on
        (nodes((32, 0), (8, 4)), {}, Share(2, 1, 4)),
        (nodes((8, 0), (16, 4)), {}, Share(4, 1, 4)),
        (nodes((4, 4), (64, 4)), {}, Share(1, 1, 8)),
        (nodes((4, 4), (64, 4)), {"most": 4}, Share(16, 1, 4)),
        (nodes((0, 0), (8, 2)), {}, Share(4, 1, 2)),
        (nodes((0, 1), (8, 2)), {}, Share(4, 1, 2)),
        (nodes((3, 0), (8, 0)), {}, Share(1, 0, 11)),
        # threads that were chosen take as many cores, where there are so many and nothing else was said
        (machine(16), {"threads": 4}, Share(4, 0, 4, 4)),
        (machine(2), {"threads": 8}, Share(2, 0, 1, 8)),
        (machine(16, 4), {"threads": 2}, Share(2, 1, 4, 2)),
        (machine(4), {"threads": 3, "cpus": 1}, Share(1, 0, 4, 3)),
    ],
)
def test_cores_are_divided_where_trials_run(
    cluster: Cluster, asked: dict[str, float], expected: Share
) -> None:
    wanted = {"trials": 100, "cpus": None, "gpus": None, "most": None, **asked}
    assert share_resources(cluster, **wanted) == expected  # type: ignore[arg-type]


def test_more_threads_than_cores_are_remarked_on() -> None:
    assert (Share(2, 0, 1).threads, Share(2, 0, 1, 8).threads, Share(0.5, 1, 1).threads) == (2, 8, 1)
    for fits in (Share(2, 0, 1), Share(0.5, 1, 1), Share(4, 0, 1, 3)):
        assert fits.remark is None
    assert "8 threads a process, and 2 CPU" in str(Share(2, 0, 1, 8).remark)
    assert str(Share(2, 0, 1, 1)) == "1 at a time, each with 2 CPU, 1 thread"


@pytest.mark.parametrize(("cpus", "gpus"), [(3.0, None), (None, 1.0), (1.0, 8.0)])
def test_what_fits_on_no_node_is_refused(cpus: float | None, gpus: float | None) -> None:
    with pytest.raises(UserError, match="fits on no node"):
        share_resources(machine(2, nodes=4), trials=1, most=None, cpus=cpus, gpus=gpus)


def test_a_share_of_several_gpus_is_refused() -> None:
    with pytest.raises(UserError, match="a share of one GPU"):
        share_resources(machine(16, 4), trials=1, cpus=None, gpus=1.5, most=None)


def test_a_dead_address_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="nothing answers"):
        require_ray(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match="is not HOST:PORT"):
        require_ray("somewhere")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # there may run one for other tests
    with pytest.raises(UserError, match="no Ray runs on this machine"):
        require_ray("auto")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    require_ray("auto")
