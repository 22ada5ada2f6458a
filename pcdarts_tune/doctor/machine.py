"""The machine and Ray on it: GPU, cores and memory that this process may use, the home folder, disks, a task run by Ray.

list(check_machine(home)), list(check_ray(address=None, start=False))
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pcdarts_tune.doctor.check import Check, fail, ok, run_check, warn
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import size_of
from pcdarts_tune.home import Where
from pcdarts_tune.machine import CGROUP, available_memory, core_quota, cores, gpu_metrics, network_file_system
from pcdarts_tune.say import format_bytes

GIB = 2**30


def check_machine(home: Path) -> Iterator[Check]:
    """GPUs, cores, memory, the home folder and its disk."""
    yield from check_gpus()
    yield check_cores()
    yield check_memory()
    yield from check_shared_memory(Path("/dev/shm"))
    if os.environ.get(name := "PYTHONDONTWRITEBYTECODE"):
        finding = f"{name} is set: every process compiles all modules again, Ray starts 2 to 3 times slower"
        yield warn("bytecode", finding, f"unset {name}")
    yield from check_home(home)
    if home.is_dir():
        yield check_sizes(home)


def check_gpus() -> Iterator[Check]:
    """Whether CUDA finds GPUs and they compute."""
    import torch

    if torch.cuda.is_available():
        yield from map(_check_gpu, range(torch.cuda.device_count()))
    elif shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia/version").exists():
        yield ok("gpu", "none; everything runs on the CPU")
    elif torch.version.cuda is None:
        finding = f"there is an NVIDIA driver, but torch {torch.__version__} is built without CUDA"
        yield warn("gpu", finding, "install torch's CUDA build: https://pytorch.org/get-started/locally")
    elif os.environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1"):
        yield warn("gpu", "CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES")
    else:
        finding = f"there is an NVIDIA driver, but torch (CUDA {torch.version.cuda}) finds no GPU"
        advice = f"nvidia-smi shows the driver: CUDA {torch.version.cuda} needs one that is new enough"
        yield fail("gpu", finding, advice)


def _check_gpu(index: int) -> Check:
    import torch

    name = torch.cuda.get_device_name(index)
    label = f"GPU {index} ({name})"
    try:
        free, total = torch.cuda.mem_get_info(index)
        values = torch.ones(64, 64, device=f"cuda:{index}")
        correct = float((values @ values).sum()) == 64.0**3
    except RuntimeError as error:  # what every CUDA error is
        reason = str(error).strip().splitlines()[0]
        advice = "nvidia-smi; or choose another with CUDA_VISIBLE_DEVICES"
        return fail("gpu", f"{label} cannot be used: {reason}", advice)
    if not correct:
        return fail("gpu", f"{label} computes wrongly", "a torch build for this GPU; nvidia-smi")
    found = f"GPU {index}: {name}, {free / GIB:.0f} of {total / GIB:.0f} GiB free"
    if free < 0.2 * total:
        return warn("gpu", f"{found}: others use it", "nvidia-smi shows who")
    if missing := gpu_metrics(torch.device("cuda", index))[1]:
        advice = "uv sync, or pip install nvidia-ml-py; nvidia-smi shows the driver"
        return warn("gpu", f"{found}; a training cannot record {'; '.join(missing)}", advice)
    return ok("gpu", f"{found}, CUDA {torch.version.cuda}")


def check_cores(cgroup: Path = CGROUP) -> Check:
    """Whether a container allows the cores that it shows: more threads than cores slow training down many times."""
    seen, allowed = cores(), core_quota(cgroup)
    if allowed is not None and allowed < seen - 0.01:
        finding = f"{seen} cores are seen, but the container may use {allowed:g}: trials sized for {seen} are throttled"
        advice = f"--cpus-per-trial and --max-concurrent that fit {allowed:g} cores, or a container with --cpus {seen}"
        return warn("cores", finding, advice)
    threads = os.environ.get("OMP_NUM_THREADS")
    return ok("cores", f"{seen}" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def check_memory(cgroup: Path = CGROUP) -> Check:
    """Whether memory is left: Ray's own processes take about 0.75 GiB, a worker 0.5 and more."""
    left = available_memory(cgroup)
    if left < 2 * GIB:
        advice = "--max-concurrent 1, or end something; Ray ends trials when memory runs out"
        return warn("memory", f"{left / GIB:.1f} GiB free", advice)
    return ok("memory", f"{left / GIB:.0f} GiB free")


def check_shared_memory(folder: Path) -> Iterator[Check]:
    """Whether shared memory holds the images, where Ray keeps them once for all trials; a container has 64 MiB of it by
    default."""
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    if free < GIB // 2:
        advice = "docker run --shm-size=2g; without it Ray keeps the images on disk, which is slow"
        yield warn("shared memory", f"{free / 2**20:.0f} MiB free in {folder}", advice)
    else:
        yield ok("shared memory", f"{free / GIB:.1f} GiB free in {folder}")


def check_home(home: Path) -> Iterator[Check]:
    """Whether the home can be written to, its file system has locks, and its disk has space."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if not there.is_dir():
        yield fail("home", f"{there} is a file, not a folder", "--home DIR, or PCDARTS_TUNE_HOME")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield fail("home", f"{there} cannot be written to", "--home DIR of your own, or PCDARTS_TUNE_HOME")
        return
    if (kind := network_file_system(there)) is not None:
        advice = "--tracking-uri http://HOST:PORT or postgresql://…, and --study-uri postgresql://…; the home may stay"
        yield warn("home", f"{home} is on {kind}, where SQLite's locks do not hold", advice)
    else:
        yield ok("home", f"{home}" + ("" if home.exists() else " (not made yet)"))
    free = shutil.disk_usage(there).free
    finding = f"{free / GIB:.1f} GiB free where {there} is"
    if free < 5 * GIB:
        advice = "make room, or --home DIR on a larger disk"
        yield (fail if free < GIB else warn)("disk", finding, advice)
    else:
        yield ok("disk", finding)


def check_sizes(home: Path) -> Check:
    """What takes how much of the home, and what of it `clean` removes."""
    parts = {name: size_of(home / name) for name in ("sweeps", "calibrations", "cache")}
    parts["MLflow"] = size_of(home / "mlflow.db") + size_of(home / "mlartifacts")
    shown = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items() if size)
    ray = sum(
        size_of(folder) for kind in ("sweeps", "calibrations") for folder in (home / kind).glob("*/ray")
    )
    disposable = parts["cache"] + ray
    finding = f"{format_bytes(sum(parts.values()))} in {home}" + (f": {shown}" if shown else "")
    if disposable > GIB and disposable > shutil.disk_usage(home).free / 10:
        flag = Where(home).home_flag
        return warn("size", finding, f"pcdarts-tune clean{flag} removes up to {format_bytes(disposable)}")
    note = f"; {format_bytes(disposable)} of it disposable (pcdarts-tune clean)" if disposable else ""
    return ok("size", finding + note)


def check_ray(*, address: str | None, start: bool) -> Iterator[Check]:
    """What Ray needs on this machine; with `start` or an address, Ray itself, which takes several seconds."""
    host = socket.gethostname()
    try:
        socket.gethostbyname(host)
    except OSError:
        finding = f"{host} has no address: Ray may wait for one for minutes"
        yield warn("host name", finding, f"add '127.0.0.1 {host}' to /etc/hosts")
    folder, too_long = _ray_folder()
    if too_long is not None:
        yield too_long
    disk = shutil.disk_usage(folder)
    full = 1 - disk.free / disk.total
    if full > 0.95:
        finding = f"the disk of {folder} is {100 * full:.0f} % full; Ray refuses it above 95 %"
        yield warn("temporary files", finding, "make room, or TMPDIR=DIR on another disk")
    if address is None and not start:
        yield ok("ray", "not started; doctor --ray tries it")
        return
    where = "here" if address is None else f"at {address}"
    yield run_check(
        "ray",
        lambda: _run_task(address, where) if start else _check_address(str(address)),
        lambda text: (f"no task could be run {where}: {text}", "the logs in /tmp/ray/session_latest/logs"),
    )


def _ray_folder() -> tuple[Path, Check | None]:
    """Where Ray keeps its session, and what is to be said where that is not the temporary folder."""
    from pcdarts_tune.cluster.session import short_folder, temporary_folder

    folder, excess = temporary_folder()
    said = None
    if excess:
        name, finding = (
            "temporary files",
            f"the path of {folder} is {excess} bytes too long for Ray's sockets",
        )
        try:
            folder = short_folder() or folder
            said = warn(name, f"{finding}: Ray takes {folder}", "RAY_TMPDIR=DIR, a shorter path")
        except UserError as error:
            said = fail(name, finding, error.hint or "")
    while not folder.exists():
        folder = folder.parent
    return folder, said


def _check_address(address: str) -> Check:
    from pcdarts_tune.cluster.session import require_ray

    require_ray(address)
    return ok("ray", f"something answers at {address}; doctor --ray joins it")


def _run_task(address: str | None, where: str) -> Check:
    from pcdarts_tune.cluster.resources import read_cluster
    from pcdarts_tune.cluster.session import ray_running

    begun = time.monotonic()
    with ray_running(address=address):
        import ray

        there = read_cluster()
        answer = ray.get(ray.remote(num_cpus=0.01)(_double).remote(21), timeout=60)
    took = time.monotonic() - begun
    if answer != 42:
        return fail("ray", f"a task gave {answer}", "the same version of pcdarts-tune on all nodes")
    nodes = f"{len(there.nodes)} node{'s' * (len(there.nodes) != 1)}, {there.cpus:g} CPU, {there.gpus:g} GPU"
    return ok("ray", f"{nodes}; a task ran {where} after {took:.0f} s")


def _double(value: int) -> int:
    return 2 * value
