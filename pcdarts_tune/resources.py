"""Ray: started quietly or found at an address; and what one trial gets of it.

with ray_running(address=None, data_bytes=0):
    share = share_resources(cluster(), trials=32, cpus=None, gpus=None, most=None)
    share.concurrent                # trials at a time
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
"""Environment that keeps Ray's own output and side effects away; read when ray is imported and when it starts."""


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
    """Divide a cluster between trials; what is None is chosen: a GPU each where there are some, else a core each.

    Raises:
        UserError: when no node could ever run a trial: Ray would wait for ever.
    """
    if gpus is None:
        gpus = 1.0 if cluster.gpus >= 1 and (cpus is None or cpus > 0) else 0.0
    if gpus > 1 and gpus != int(gpus):
        raise UserError(f"--gpus-per-trial {gpus:g}: a share of one GPU, such as 0.25, or a whole number")
    if cpus is None:
        at_once = _fitting(cluster, 0.0, gpus) if gpus else 0
        cpus = float(max(1, int(cluster.cpus // at_once))) if at_once else 1.0
        if at_once > cluster.cpus:
            cpus = math.floor(100 * cluster.cpus / at_once) / 100
    concurrent = _fitting(cluster, cpus, gpus)
    if concurrent < 1:
        wanted = f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")
        have = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in cluster.nodes)
        raise UserError(
            f"a trial that takes {wanted} fits on no node: there {'is' if len(cluster.nodes) == 1 else 'are'} {have}",
            hint="lower --cpus-per-trial or --gpus-per-trial, or a cluster that has them with --address",
        )
    return Share(cpus, gpus, max(1, min(concurrent, trials, most or concurrent)))


def _fitting(cluster: Cluster, cpus: float, gpus: float) -> int:
    """How many trials the nodes hold together."""
    total = 0
    for node in cluster.nodes:
        by_cpu = int(node.get("CPU", 0.0) / cpus + 1e-9) if cpus else 10**6
        by_gpu = 10**6
        if 0 < gpus < 1:
            by_gpu = int(node.get("GPU", 0.0)) * int(1 / gpus + 1e-9)  # a share never spans two GPUs
        elif gpus:
            by_gpu = int(node.get("GPU", 0.0) // gpus)
        total += min(by_cpu, by_gpu)
    return total


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


@contextmanager
def ray_running(*, address: str | None, data_bytes: int = 0) -> Iterator[None]:
    """Ray for the length of the block: one that runs in this process already is used and left running.

    Args:
        address: `host:port` of a cluster, or `auto` for the one that runs on this machine; None starts one here.
        data_bytes: how much will be put into the object store.

    Raises:
        UserError: when nothing answers at the address.
    """
    with _quiet_environment():
        import ray

        if ray.is_initialized():
            yield
            return
        if address is not None:
            probe(address)
        _start(address, data_bytes)
        try:
            yield
        finally:
            ray.shutdown()


def _start(address: str | None, data_bytes: int) -> None:
    import ray

    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # until the trial says how many it may use
    quiet: dict[str, Any] = {
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address is None:
        os.environ.update(threads)
        store = 150 * 2**20 + 2 * data_bytes
        ray.init(address="local", object_store_memory=store, **quiet)
        return
    environment: dict[str, Any] = {"env_vars": {**QUIET, **threads}}
    if (package := _checkout()) is not None:
        environment["py_modules"] = [str(package)]
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"no Ray cluster could be joined at {address}: {reason}",
            hint="ray start --head there; versions of Python and Ray must be the same on all nodes",
        ) from None


def _checkout() -> Path | None:
    """This package's folder when it is not installed where a worker would find it: then it travels along."""
    package = Path(__file__).resolve().parent
    return None if any(part in package.parts for part in ("site-packages", "dist-packages")) else package


def probe(address: str) -> None:
    """Look whether something listens, since Ray would try for minutes.

    Raises:
        UserError: when nothing does.
    """
    if address in ("auto", "local") or address.startswith("ray://"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"--address {address!r} is not HOST:PORT", hint="--address auto for the cluster on this machine"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            pass
    except OSError as error:
        raise UserError(
            f"nothing answers at --address {address}: {error.strerror or error}",
            hint="ray start --head --port=6379 on that machine, or leave --address away to use this one",
        ) from None


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """`QUIET`, and without what slows the start of Python processes down or leads workers astray; put back afterwards."""
    removed = ("PYTHONDONTWRITEBYTECODE", "MLFLOW_RUN_ID")
    touched = {*QUIET, *removed, "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
    before = {name: os.environ.get(name) for name in touched}
    os.environ.update(QUIET)
    for name in removed:
        os.environ.pop(name, None)
    tune_log = logging.getLogger("ray.tune")
    level = tune_log.level
    tune_log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        tune_log.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
