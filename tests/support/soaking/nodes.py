"""A Ray cluster of several nodes on one machine, whose local folders differ as they do on real machines.

    with Nodes(hidden=[driver_home, Path("/tmp/ray")]) as nodes:
        nodes.add(); nodes.add()
        ...                             # a driver joins at nodes.address
        nodes.kill(0)                   # -9 of all its processes
        nodes.add()

Each node but the head has a mount namespace of its own (Linux, as root): the hidden folders are empty there at first, and
what it writes to them no other node sees. Where the system forbids that, the nodes share them, and `apart` says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from support.soaking.driver import MARK, marked

CLONE_NEWNS, CLONE_FS = 0x00020000, 0x00000200
MS_REC, MS_PRIVATE = 0x4000, 0x40000


ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_enable_metrics_collection": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    "RAY_raylet_start_wait_time_s": "180",  # on a busy machine nodes take their time
}
"""Of nodes and of the drivers that join them: an address given as HOST:PORT does not say that there is a token."""


class Nodes:
    """The cluster; made in the main thread, in which Ray wants to start its nodes, of a process that has had no other Ray:
    whether there is a token is settled once for a process.

    Args:
        hidden: folders that each node has its own of.
        cpus: of each node; the head has none and runs no trials.
    """

    def __init__(self, hidden: Sequence[Path], cpus: int = 1) -> None:
        self._hidden, self._cpus = list(hidden), cpus
        self._cluster: Any = None
        self._made = 0
        self._before: dict[str, str | None] = {}
        self.alive: list[tuple[Any, str]] = []
        """Node and the mark that its processes carry."""
        self.apart = True

    def __enter__(self) -> Self:
        self._before = {name: os.environ.get(name) for name in ENVIRONMENT}
        os.environ.update(ENVIRONMENT)
        from ray.cluster_utils import Cluster

        try:
            self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        except BaseException:
            self._put_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node, mark in self.alive:
            self._end(node, mark)
        self._cluster.shutdown()
        self._put_back()

    def _put_back(self) -> None:
        for name, value in self._before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

    @property
    def address(self) -> str:
        """To join at."""
        return str(self._cluster.address)

    def add(self) -> None:
        """A node more."""
        self._made += 1
        mark = f"node-{os.getpid()}-{self._made}"
        before = os.environ.get(MARK)
        os.environ[MARK] = mark
        try:
            with self._own_folders():
                node = self._cluster.add_node(num_cpus=self._cpus)
        finally:
            os.environ.pop(MARK) if before is None else os.environ.update({MARK: before})
        self.alive.append((node, mark))

    def kill(self, number: int) -> None:
        """Kill -9 of one node: of Ray's processes there and of all trials."""
        self._end(*self.alive.pop(number))

    def _end(self, node: Any, mark: str) -> None:
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)
        end = time.monotonic() + 10
        while marked(mark) and time.monotonic() < end:
            time.sleep(0.02)

    @contextlib.contextmanager
    def _own_folders(self) -> Iterator[None]:
        """What is started here sees empty folders in place of the hidden ones."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.getcwd()
        outside = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        try:
            if libc.unshare(CLONE_NEWNS) != 0:
                self.apart = False
                yield
                return
            try:
                _checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
                for folder in self._hidden:
                    _checked(libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"mode=0777"))
                yield
            finally:
                _checked(
                    libc.unshare(CLONE_FS)
                )  # threads that Ray has begun meanwhile share what setns changes
                _checked(libc.setns(outside, CLONE_NEWNS))
                os.chdir(here)
        finally:
            os.close(outside)


def _checked(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
