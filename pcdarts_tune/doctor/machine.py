"""The machine: GPU, cores and memory that this process may use, shared memory, the home folder and its disk.

list(check_machine(home))
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pcdarts_tune.doctor.check import Check, fail, ok, warn
from pcdarts_tune.machine import CGROUP, available_memory, core_quota, cores, network_file_system

GIB = 2**30


def check_machine(home: Path) -> Iterator[Check]:
    """All of it."""
    yield from check_gpu()
    yield from check_cores()
    yield from check_memory()
    yield from check_shared_memory(Path("/dev/shm"))
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield warn(
            "bytecode",
            "PYTHONDONTWRITEBYTECODE is set: every process compiles all modules again, Ray starts 2 to 3 times slower",
            "unset PYTHONDONTWRITEBYTECODE",
        )
    yield from check_home(home)


def check_gpu() -> Iterator[Check]:
    """Whether CUDA is there and computes."""
    import torch

    driver = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()
    if not torch.cuda.is_available():
        if not driver:
            yield ok("gpu", "none; everything runs on the CPU")
        elif torch.version.cuda is None:
            todo = "install torch's CUDA build: https://pytorch.org/get-started/locally"
            yield warn(
                "gpu", f"there is an NVIDIA driver, but torch {torch.__version__} is built without CUDA", todo
            )
        elif os.environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1"):
            yield warn("gpu", "CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES")
        else:
            todo = f"nvidia-smi shows the driver: CUDA {torch.version.cuda} needs one that is new enough"
            yield fail(
                "gpu", f"there is an NVIDIA driver, but torch (CUDA {torch.version.cuda}) finds no GPU", todo
            )
        return
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        try:
            free, total = torch.cuda.mem_get_info(index)
            values = torch.ones(64, 64, device=f"cuda:{index}")
            right = float((values @ values).sum()) == 64.0**3
        except RuntimeError as error:  # what every CUDA error is
            reason = str(error).strip().splitlines()[0]
            yield fail(
                "gpu",
                f"GPU {index} ({name}) cannot be used: {reason}",
                "nvidia-smi; or choose another with CUDA_VISIBLE_DEVICES",
            )
            continue
        memory = f"{free / GIB:.0f} of {total / GIB:.0f} GiB free"
        if not right:
            yield fail(
                "gpu", f"GPU {index} ({name}) computes wrongly", "a torch build for this GPU; nvidia-smi"
            )
        elif free < 0.2 * total:
            yield warn("gpu", f"GPU {index}: {name}, {memory}: others use it", "nvidia-smi shows who")
        else:
            yield ok("gpu", f"GPU {index}: {name}, {memory}, CUDA {torch.version.cuda}")


def check_cores(cgroup: Path = CGROUP) -> Iterator[Check]:
    """More threads than the process may use cores make training many times slower."""
    seen, allowed = cores(), core_quota(cgroup)
    if allowed is not None and allowed < seen - 0.01:
        todo = f"--cpus-per-trial and --max-concurrent that fit {allowed:g} cores, or a container with --cpus {seen}"
        said = f"{seen} cores are seen, but the container may use {allowed:g}: trials sized for {seen} are throttled"
        yield warn("cores", said, todo)
        return
    threads = os.environ.get("OMP_NUM_THREADS")
    yield ok("cores", f"{seen}" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def check_memory(cgroup: Path = CGROUP) -> Iterator[Check]:
    """Memory that is left: Ray's own processes take about 0.75 GiB, a worker 0.5 and more."""
    left = available_memory(cgroup)
    if left < 2 * GIB:
        todo = "--max-concurrent 1, or end something; Ray ends trials when memory runs out"
        yield warn("memory", f"{left / GIB:.1f} GiB free", todo)
    else:
        yield ok("memory", f"{left / GIB:.0f} GiB free")


def check_shared_memory(folder: Path) -> Iterator[Check]:
    """Ray keeps the images in shared memory once for all trials; a container has 64 MiB of it unless told otherwise."""
    if not folder.is_dir():
        return
    size = shutil.disk_usage(folder)
    if size.free < GIB // 2:
        todo = "docker run --shm-size=2g; without it Ray keeps the images on disk, which is slow"
        yield warn("shared memory", f"{size.free / 2**20:.0f} MiB free in {folder}", todo)
    else:
        yield ok("shared memory", f"{size.free / GIB:.1f} GiB free in {folder}")


def check_home(home: Path) -> Iterator[Check]:
    """Whether the home can be written to, locks hold there, and its disk has room."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not there.is_dir():
        yield fail("home", f"{there} is a file, not a folder", "--home DIR, or PCDARTS_TUNE_HOME")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield fail("home", f"{there} cannot be written to", "--home DIR of your own, or PCDARTS_TUNE_HOME")
        return
    if (kind := network_file_system(there)) is not None:
        todo = "--tracking-uri http://HOST:PORT or postgresql://…, and --study-uri postgresql://…; the home may stay"
        yield warn("home", f"{home} is on {kind}, where SQLite's locks do not hold", todo)
    else:
        yield ok("home", f"{home}" + ("" if home.exists() else " (not made yet)"))
    disk = shutil.disk_usage(there)
    said, todo = (
        f"{disk.free / GIB:.1f} GiB free where {there} is",
        "make room, or --home DIR on a larger disk",
    )
    if disk.free < GIB:
        yield fail("disk", said, todo)
    elif disk.free < 5 * GIB:
        yield warn("disk", said, todo)
    else:
        yield ok("disk", said)
