"""What this machine has: the device that trains, its threads, the file systems that other machines reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    import torch

NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "gpfs",
    "beegfs",
    "sshfs",
    "s3fs",
)
"""How the types of file systems begin, after `fuse.`, that several machines reach."""


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The type of the file system that a path is on, or will be, when other machines reach it too; None where it is a
    disk of this machine, or that cannot be told (outside Linux)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    there = path.absolute()
    found = (0, "")
    for line in lines:
        _, place, kind, *_ = [*line.split(), "", "", ""]
        folder = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), place) or "/")
        if there.is_relative_to(folder) and len(folder.parts) >= found[0]:  # a later mount hides an earlier
            found = (len(folder.parts), kind)
    kind = found[1]
    return kind if kind.removeprefix("fuse.").startswith(NETWORK_FILE_SYSTEMS) else None


def default_device() -> torch.device:
    """CUDA where there is a GPU, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_threads(threads: int) -> None:
    """Let torch use `threads` cores, and treat denormals as zeros: they make a CPU tens of times slower."""
    import torch

    torch.set_num_threads(max(1, threads))
    torch.set_flush_denormal(True)


def choose_device(name: str) -> torch.device:
    """The device that `--device` names.

    Raises:
        UserError: when CUDA is asked for and PyTorch finds none.
    """
    import torch

    set_threads(torch.get_num_threads())
    if name == "auto":
        return default_device()
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: PyTorch finds no GPU here",
            hint="--device cpu, or check the driver with nvidia-smi",
        )
    return torch.device(name)
