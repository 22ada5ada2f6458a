"""What this machine has, and what of it this process may use: device, cores, memory, file systems.

psutil asks the system; what a container's control group allows is read from its files, which psutil does not know.

>>> available_memory() / 2**30          # GiB that this process and its children may still take
>>> network_file_system(Path("/shared"))
'nfs4'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pcdarts_tune.errors import UserError, one_line

if TYPE_CHECKING:
    import torch

SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Environment variables by which OpenMP's threads sleep while they wait."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
"""The environment variables that say how OpenMP's threads wait (libgomp: the first two; libomp and Intel's: all but the
second)."""

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of the control group, that is, of the container."""

NETWORK_FILE_SYSTEMS = (
    "nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "gpfs", "beegfs", "sshfs", "s3fs",
)  # fmt: skip
"""How the types of file systems begin, after `fuse.`, that several machines reach. SQLite's locks do not hold on them."""


def default_device() -> torch.device:
    """CUDA where there is a GPU, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_device(name: str, threads: int | None = None) -> torch.device:
    """The device that `--device` names: auto, cpu or cuda; and on the CPU so many threads, PyTorch's own number where that is
    None.

    Raises:
        UserError: when CUDA is asked for and PyTorch finds none.
    """
    import torch

    set_threads(threads or torch.get_num_threads())
    if name == "auto":
        return default_device()
    if name == "cuda" and not torch.cuda.is_available():
        hint = "--device cpu, or check the driver with nvidia-smi"
        raise UserError("--device cuda: PyTorch finds no GPU here", hint=hint)
    return torch.device(name)


def set_threads(threads: int) -> None:
    """Let torch use `threads` cores, and treat denormals as zeros: they make a CPU tens of times slower."""
    import torch

    torch.set_num_threads(max(1, threads))
    torch.set_flush_denormal(True)


def waiting_settings() -> dict[str, str]:
    """Environment variables by which OpenMP's threads sleep while they wait for work; the user's own where there are some.

    They wait at the end of every operation, and by default they keep their cores busy meanwhile: where other processes want
    the cores too, a step of two threads takes several times as long. Of PyTorch's builds libgomp and libomp read this one.
    """
    own = {name: os.environ[name] for name in WAITING if name in os.environ}
    return own or dict(SLEEPING)


def let_threads_sleep() -> None:
    """Set `waiting_settings` for this process and those that it starts; to be called before torch is loaded."""
    os.environ.update(waiting_settings())


def cores() -> int:
    """Cores that this process may be scheduled on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> float:
    """Cores that this process can keep busy: those that it may be scheduled on, or fewer where a control group says so."""
    return min(float(cores()), core_quota() or float(cores()))


def core_quota(cgroup: Path = CGROUP) -> float | None:
    """Cores whose time the control group allows; None where it sets no limit or there is none."""
    with suppress(OSError, ValueError):
        limit, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    with suppress(OSError, ValueError):  # version 1
        limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        return None if int(limit) < 0 else int(limit) / int(period)
    return None


def available_memory(cgroup: Path = CGROUP) -> float:
    """Bytes that this process and its children may still take: the machine's, or less where a control group says so."""
    left = [float(psutil.virtual_memory().available)]
    version_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    version_2 = ("memory.max", "memory.current", "inactive_file")
    for folder, (limit, used, cache) in ((cgroup, version_2), (cgroup / "memory", version_1)):
        with suppress(OSError, ValueError):
            room = int((folder / limit).read_text(encoding="ascii"))
            room -= int((folder / used).read_text(encoding="ascii"))
            with suppress(OSError, ValueError):  # the kernel drops cached files before it refuses memory
                lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
                room += int(dict(line.split() for line in lines).get(cache, 0))
            left.append(float(room))
    return min(left)


def own_memory() -> float:
    """Bytes that this process takes for itself, shared libraries apart: about what a worker takes before it has tensors,
    as both have torch loaded."""
    used = psutil.Process().memory_info()
    return float(used.rss - getattr(used, "shared", 0))


def gpu_metrics(device: torch.device) -> tuple[dict[str, float], list[str]]:
    """Memory and load of a GPU, those that can be measured, and why the others cannot."""
    import torch

    def used() -> float:
        free, total = torch.cuda.mem_get_info(device)
        return (total - free) / 2**30

    measures: dict[str, Callable[[], float]] = {
        "gpu_memory_gb": lambda: torch.cuda.memory_reserved(device) / 2**30,
        "gpu_used_gb": used,
        "gpu_percent": lambda: float(torch.cuda.utilization(device)),  # by NVIDIA's management library
    }
    measured, missing = dict[str, float](), list[str]()
    for name, measure in measures.items():
        try:
            measured[name] = measure()
        except Exception as error:  # of drivers and libraries: a number that cannot be had ends no training
            missing.append(f"{name}: {one_line(error)}")
    return measured, missing


def network_file_system(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> str | None:
    """The type of the file system that a path is on, or will be, when other machines reach it too; None where it is a
    disk of this machine, or that cannot be told. `mounts` are mount points and their types, in the order in which they were
    mounted; None asks the system."""
    if mounts is None:
        mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    there = path.absolute()
    # the deepest mount point counts, and of two alike the later: it hides the earlier
    around = [(len(Path(point).parts), kind) for point, kind in mounts if there.is_relative_to(point)]
    kind = max(reversed(around), key=lambda mount: mount[0], default=(0, ""))[1]
    return kind if kind.removeprefix("fuse.").startswith(NETWORK_FILE_SYSTEMS) else None


def files_in_use(folder: Path) -> set[Path]:
    """The files below a folder that some process on this machine has open or mapped, of those processes that this user may
    look at; empty where the system does not say."""
    start, found = f"{folder.resolve()}{os.sep}", set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "maps").read_text(errors="surrogateescape").splitlines()
            # address, rights, offset, device, inode, path
            found |= {parts[5] for line in lines if len(parts := line.split(maxsplit=5)) == 6}
            found |= {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:  # it has ended, or is another's
            continue
    return {Path(name) for name in found if name.startswith(start)}
