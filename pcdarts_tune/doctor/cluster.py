"""Ray: whether one could start here, or a cluster answers.

list(check_ray(address=None, start=False))
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pcdarts_tune.doctor.check import Check, fail, ok, warn
from pcdarts_tune.errors import UserError


def check_ray(*, address: str | None, start: bool) -> Iterator[Check]:
    """What Ray needs on this machine; with `start` or an address, Ray itself, which takes several seconds."""
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        todo = f"add '127.0.0.1 {socket.gethostname()}' to /etc/hosts"
        yield warn(
            "host name", f"{socket.gethostname()} has no address: Ray may wait for one for minutes", todo
        )
    yield from check_temporary(Path(tempfile.gettempdir()))
    if address is not None:
        yield from _answers(address, start)
    elif start:
        yield from _starts(None)
    else:
        yield ok("ray", "not started; doctor --ray tries it")


def check_temporary(folder: Path) -> Iterator[Check]:
    """Ray keeps its session in the temporary folder, and gives up spilling to a disk that is 95 % full."""
    disk = shutil.disk_usage(folder)
    full = 1 - disk.free / disk.total
    if full > 0.95:
        todo = "make room, or TMPDIR=DIR on another disk"
        yield warn(
            "temporary files",
            f"the disk of {folder} is {100 * full:.0f} % full; Ray refuses it above 95 %",
            todo,
        )


def _answers(address: str, start: bool) -> Iterator[Check]:
    from pcdarts_tune.cluster.session import probe

    try:
        probe(address)
    except UserError as error:
        yield fail("ray", str(error), error.hint or "")
        return
    if start:
        yield from _starts(address)
    else:
        yield ok("ray", f"something answers at {address}; doctor --ray joins it")


def _starts(address: str | None) -> Iterator[Check]:
    from pcdarts_tune.cluster.resources import cluster
    from pcdarts_tune.cluster.session import ray_running

    begun = time.monotonic()
    where = "here" if address is None else f"at {address}"
    try:
        with ray_running(address=address):
            import ray

            there = cluster()
            answer = ray.get(ray.remote(num_cpus=0.01)(_double).remote(21), timeout=60)
    except UserError as error:
        yield fail("ray", str(error), error.hint or "")
        return
    except Exception as error:  # whatever Ray raises
        said = " ".join(str(error).split())[:300] or type(error).__name__
        yield fail("ray", f"no task could be run {where}: {said}", "the logs in /tmp/ray/session_latest/logs")
        return
    took = time.monotonic() - begun
    nodes = f"{len(there.nodes)} node{'s' * (len(there.nodes) != 1)}"
    said = f"{nodes}, {there.cpus:g} CPU, {there.gpus:g} GPU; a task ran {where} after {took:.0f} s"
    if answer == 42:
        yield ok("ray", said)
    else:
        yield fail("ray", f"a task gave {answer}", "the same version of pcdarts-tune on all nodes")


def _double(value: int) -> int:
    return 2 * value
