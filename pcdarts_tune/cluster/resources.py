"""What a trial gets of the machines there are, and how many trials run at a time.

share = share_resources(this_machine(), trials=32, cpus=None, gpus=None, most=None)
share.concurrent
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pcdarts_tune.errors import UserError
from pcdarts_tune.machine import cores


@dataclass(frozen=True)
class Cluster:
    """Resources of all nodes together, and of each, by Ray's names `CPU` and `GPU`; a trial runs on one node."""

    cpus: float
    gpus: float
    nodes: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Share:
    """CPUs and GPUs of each trial, how many trials run at a time, and the threads of each where they were chosen."""

    cpus: float
    gpus: float
    concurrent: int
    chosen_threads: int | None = None

    @property
    def threads(self) -> int:
        """CPU threads of a trial; more threads than cores would make it many times slower."""
        return self.chosen_threads or max(1, int(self.cpus))

    @property
    def remark(self) -> str | None:
        """What to say of the threads; None where a trial has a core for each."""
        if self.threads <= max(1.0, self.cpus):
            return None
        return (
            f"{self.threads} threads a process, and {self.cpus:g} CPU: they wait for each other, which can take many times "
            f"as long; with --cpus-per-trial {self.threads} fewer run at a time"
        )

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        chosen = "" if self.chosen_threads is None else f", {self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.concurrent} at a time, each with {self.cpus:g} CPU{gpus}{chosen}"


def share_resources(
    cluster: Cluster,
    *,
    trials: int,
    cpus: float | None,
    gpus: float | None,
    most: int | None,
    threads: int | None = None,
) -> Share:
    """Divide a cluster between trials.

    Args:
        trials: how many there are to run.
        cpus: of each trial; None for as many as let no fewer trials run at a time.
        gpus: of each trial; None for one where there are some.
        most: how many may run at a time; None for no limit.
        threads: of each trial; None for as many as it has cores. Without `cpus` a trial gets as many cores, where a node
            has them.

    Raises:
        UserError: no node could ever run a trial, and Ray would wait for ever.
    """
    if gpus is None:
        gpus = 1.0 if cluster.gpus >= 1 and (cpus is None or cpus > 0) else 0.0
    if gpus > 1 and gpus != int(gpus):
        wrong = f"--gpus-per-trial {gpus:g}: a share of one GPU, such as 0.25, or a whole number"
        raise UserError(wrong, hint=f"--gpus-per-trial {int(gpus)}")
    if cpus is None and threads is not None:
        cpus = min(float(threads), max((node.get("CPU", 0.0) for node in cluster.nodes), default=1.0))
    if cpus is None:
        cpus = _choose_cpus(cluster, gpus, min(trials, most or trials))
    concurrent = _count_trials(cluster, cpus, gpus)
    if concurrent < 1:
        wanted = f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")
        have = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in cluster.nodes)
        raise UserError(
            f"a trial that takes {wanted} fits on no node: there {'is' if len(cluster.nodes) == 1 else 'are'} {have}",
            hint="lower --cpus-per-trial or --gpus-per-trial, or a cluster that has them with --address",
        )
    return Share(cpus, gpus, max(1, min(concurrent, trials, most or concurrent)), threads)


def _choose_cpus(cluster: Cluster, gpus: float, wanted: int) -> float:
    """The largest share of cores with which `wanted` trials run at a time, or as many as there are GPUs (without GPUs:
    cores) for: a node's cores divided by how many trials it takes."""
    nodes = [
        (have, _count_by_gpus(node, gpus) if gpus else int(have))
        for node in cluster.nodes
        if (have := node.get("CPU", 0.0)) > 0
    ]
    wanted = min(wanted, sum(number for _, number in nodes))
    shares = {have / among for have, number in nodes for among in range(1, min(number, wanted) + 1)}
    for share in sorted(shares, reverse=True):
        cpus = float(int(share + 1e-9)) if share >= 1 else math.floor(100 * share + 1e-9) / 100
        if _count_trials(cluster, cpus, gpus) >= wanted:
            return cpus
    return 1.0  # no node has enough, and the caller raises


def _count_trials(cluster: Cluster, cpus: float, gpus: float) -> int:
    """How many trials all nodes run at a time."""
    total = 0
    for node in cluster.nodes:
        by_cpus = int(node.get("CPU", 0.0) / cpus + 1e-9) if cpus else 10**6
        total += min(by_cpus, _count_by_gpus(node, gpus) if gpus else 10**6)
    return total


def _count_by_gpus(node: Mapping[str, float], gpus: float) -> int:
    """How many trials the GPUs of a node are enough for."""
    have = node.get("GPU", 0.0)
    if gpus < 1:
        return int(have) * int(1 / gpus + 1e-9)  # a share never spans two GPUs
    return int(have // gpus)


def read_cluster() -> Cluster:
    """The resources of the Ray that runs in this process."""
    import ray

    nodes = tuple(node["Resources"] for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    totals = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(totals.get("CPU", 0.0), totals.get("GPU", 0.0), nodes)


def lacking(share: Share) -> str | None:
    """What a trial waits for, in words, where other work holds it; None where the Ray of this process could start one."""
    import ray
    from ray.util import placement_group_table

    groups = placement_group_table() or {}
    if not any(group["state"] == "PENDING" for group in groups.values()):
        return None  # it has its place, and its process starts
    all_of = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free = ray.available_resources()  # type: ignore[no-untyped-call]
    short = [
        f"{free.get(name, 0.0):g} of {all_of.get(name, 0.0):g} {name}s"
        for name, needed in (("CPU", share.cpus), ("GPU", share.gpus))
        if free.get(name, 0.0) < needed
    ]
    if not short:
        return None
    gpus = f" and {share.gpus:g} GPU" if share.gpus else ""
    return f"a trial takes {share.cpus:g} CPU{gpus}, and {' and '.join(short)} are free: other work on the cluster has them"


def this_machine() -> Cluster:
    """The resources that Ray will find on this machine, without starting it."""
    import torch

    node = {"CPU": float(cores()), "GPU": float(torch.cuda.device_count())}
    return Cluster(node["CPU"], node["GPU"], (node,))
