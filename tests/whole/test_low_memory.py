"""A machine that runs low on memory: Ray's monitor ends a trial's process, and the sweep goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory
from support.soaking.environment import fresh

GIB = 2**30


def test_a_process_that_the_memory_monitor_ends_starts_again(tmp_path: Path) -> None:
    # the monitor looks at the whole machine: the room is for what other tests take meanwhile
    used, total = get_used_memory(), get_system_memory()
    limit = (used + 8 * GIB) / total
    if limit > 0.65:
        pytest.skip(f"needs a machine with 10 GiB to spare; {(total - used) / GIB:.0f} GiB are free")
    environment = fresh() | {
        "RAY_memory_usage_threshold": f"{limit:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    script = Path(__file__).with_name("hungry_sweep.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "home"), str(9 * GIB)],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"ended": "done", "states": ["complete"] * 3}
    assert "trial 1: starts again, out of memory: the machine ran low" in done.stderr, done.stderr
    assert "--max-concurrent" in done.stderr
