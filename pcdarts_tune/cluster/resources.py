"""What a trial gets of the machines there are, and how many trials run at a time.

share = share_resources(this_machine(), trials=32, cpus=None, gpus=None, most=None)
share.concurrent
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from pcdarts_tune.errors import UserError


@dataclass(frozen=True)
class Cluster:
    """What there is: totals, and the nodes' own (a trial runs on one node)."""

    cpus: float
    gpus: float
    nodes: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Share:
    """What a trial gets, and how many run at a time."""

    cpus: float
    gpus: float
    concurrent: int

    @property
    def threads(self) -> int:
        """CPU threads of a trial: more than its cores would make it many times slower."""
        return max(1, int(self.cpus))

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.concurrent} at a time, each with {self.cpus:g} CPU{gpus}"


def share_resources(
    cluster: Cluster, *, trials: int, cpus: float | None, gpus: float | None, most: int | None
) -> Share:
    """Divide a cluster between trials; what is None is chosen: a GPU each where there are some, and of the cores
    as much as lets no fewer trials run at a time than could.

    Args:
        trials: how many there are to run. `most`: at a time, at most.

    Raises:
        UserError: when no node could ever run a trial: Ray would wait for ever.
    """
    if gpus is None:
        gpus = 1.0 if cluster.gpus >= 1 and (cpus is None or cpus > 0) else 0.0
    if gpus > 1 and gpus != int(gpus):
        raise UserError(
            f"--gpus-per-trial {gpus:g}: a share of one GPU, such as 0.25, or a whole number",
            hint=f"--gpus-per-trial {int(gpus)}",
        )
    if cpus is None:
        cpus = _cores_each(cluster, gpus, min(trials, most or trials))
    concurrent = _fitting(cluster, cpus, gpus)
    if concurrent < 1:
        wanted = f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")
        have = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in cluster.nodes)
        raise UserError(
            f"a trial that takes {wanted} fits on no node: there {'is' if len(cluster.nodes) == 1 else 'are'} {have}",
            hint="lower --cpus-per-trial or --gpus-per-trial, or a cluster that has them with --address",
        )
    return Share(cpus, gpus, max(1, min(concurrent, trials, most or concurrent)))


def _cores_each(cluster: Cluster, gpus: float, wanted: int) -> float:
    """The largest share of cores with which `wanted` trials run at a time, or as many as there are GPUs (without
    GPUs: cores) for.

    A trial runs on one node, so the share is a node's cores divided by how many trials it takes.
    """
    places = [_by_gpu(node, gpus) if gpus else int(node.get("CPU", 0.0)) for node in cluster.nodes]
    cores = [node.get("CPU", 0.0) for node in cluster.nodes]
    wanted = min(wanted, sum(number for number, have in zip(places, cores, strict=True) if have > 0))
    shares = {
        have / among
        for number, have in zip(places, cores, strict=True)
        for among in range(1, min(number, wanted) + 1)
        if have > 0
    }
    for share in sorted(shares, reverse=True):
        cpus = float(int(share + 1e-9)) if share >= 1 else math.floor(100 * share + 1e-9) / 100
        if _fitting(cluster, cpus, gpus) >= wanted:
            return cpus
    return 1.0  # fits nowhere: the caller says so


def _fitting(cluster: Cluster, cpus: float, gpus: float) -> int:
    """How many trials the nodes hold together."""
    total = 0
    for node in cluster.nodes:
        by_cpu = int(node.get("CPU", 0.0) / cpus + 1e-9) if cpus else 10**6
        total += min(by_cpu, _by_gpu(node, gpus) if gpus else 10**6)
    return total


def _by_gpu(node: Mapping[str, float], gpus: float) -> int:
    """How many trials a node's GPUs take."""
    have = node.get("GPU", 0.0)
    if gpus < 1:
        return int(have) * int(1 / gpus + 1e-9)  # a share never spans two GPUs
    return int(have // gpus)


def cluster() -> Cluster:
    """What the running Ray has."""
    import ray

    nodes = tuple(node["Resources"] for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    totals = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(totals.get("CPU", 0.0), totals.get("GPU", 0.0), nodes)


def this_machine() -> Cluster:
    """What Ray will find on this machine, without starting it."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    node = {"CPU": float(cores or 1), "GPU": float(torch.cuda.device_count())}
    return Cluster(node["CPU"], node["GPU"], (node,))
