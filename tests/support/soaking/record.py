"""What a soak writes down: date, versions, hardware, counts and each kill.

write(Path("benchmarks/results/soak-driver.json"), {"kills": [...], "counts": {...}})
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from pcdarts_tune.tracking.provenance import git_revision, versions


def write(path: Path, result: dict[str, Any]) -> None:
    """The result with where it comes from, as JSON."""
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "git": git_revision(),
        "hardware": hardware(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, **result}, indent=1) + "\n", encoding="utf-8")


def hardware() -> str:
    """Processor, cores and memory, in words."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"
