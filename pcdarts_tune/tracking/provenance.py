"""Where a result comes from: versions, git revision, machine. Recorded with every sweep and every run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    import torch

PACKAGES = ("pcdarts-tune", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy")


@cache
def versions() -> dict[str, str]:
    """Python and the packages that decide a result, by name; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine(device: torch.device) -> dict[str, str]:
    """What a result's last digits depend on besides versions, as tags of a run: the device, and on a CPU its threads
    (those that the process computes with now)."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {Tag.DEVICE: f"{device.type}: {name}", Tag.THREADS: str(torch.get_num_threads())}


@cache
def git_revision() -> str | None:
    """The commit of the checkout this package runs from, with `-dirty` when it was changed; None outside of one."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True, timeout=5).stdout.strip()

    try:
        # a wheel in a virtual environment inside someone's repository is not that repository's revision
        git("ls-files", "--error-unmatch", str(here))
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") or None
    except (OSError, subprocess.SubprocessError):
        return None
