"""Threads that wait for work sleep, in commands and in Ray's workers, unless the user said how they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcdarts_tune.machine import WAITING, let_threads_sleep, waiting_settings

COMMAND = (
    "import os, sys\n"
    "from pcdarts_tune.cli import run\n"
    "assert 'torch' not in sys.modules\n"
    "assert run(['spaces', 'quickstart', '--json']) == 0\n"
    "import torch\n"  # libgomp prints what it read
)


def spins(**setting: str) -> list[str]:
    """What torch's OpenMP says of itself in a process of a command."""
    inherited = {key: value for key, value in os.environ.items() if key not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        capture_output=True,
        text=True,
        env={**inherited, "OMP_DISPLAY_ENV": "VERBOSE", **setting},
        check=True,
        timeout=120,
    )
    return [line.strip() for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp, which says what it read, is that of Linux")
@pytest.mark.parametrize(
    ("setting", "count"),
    [({}, "0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "30000000000"), ({"GOMP_SPINCOUNT": "77"}, "77")],
)
def test_openmp_of_a_command_reads_it_before_torch_is_loaded(setting: dict[str, str], count: str) -> None:
    found = spins(**setting)
    assert found and all(line.endswith(f"= '{count}'") for line in found), found


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    assert waiting_settings() == {"OMP_WAIT_POLICY": "PASSIVE"}
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    assert waiting_settings() == {"KMP_BLOCKTIME": "200"}
    let_threads_sleep()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_ray_s_workers_have_it_and_a_full_cluster_says_what_is_missing(tmp_path: Path) -> None:
    """One Ray for both: its start is what takes time."""
    code = (
        "import os, time\n"
        "from pcdarts_tune.cluster.resources import Share, lacking\n"
        "from pcdarts_tune.cluster.session import ray_running\n"
        "with ray_running(address=None):\n"
        "    import ray\n"
        "    from ray.util import placement_group, placement_group_table\n"
        "    @ray.remote(num_cpus=0)\n"
        "    def settings(): return os.environ.get('OMP_WAIT_POLICY'), os.environ.get('OMP_NUM_THREADS')\n"
        "    assert ray.get(settings.remote()) == ('PASSIVE', '1'), ray.get(settings.remote())\n"
        "    cores = int(ray.cluster_resources()['CPU'])\n"
        "    share = Share(1.0, 0.0, 1)\n"
        "    assert lacking(share) is None\n"
        "    ray.get(placement_group([{'CPU': cores}]).ready())\n"
        "    assert lacking(share) is None, 'nothing waits'\n"
        "    other = placement_group([{'CPU': 1}])\n"
        "    end = time.monotonic() + 30\n"
        "    while (said := lacking(share)) is None and time.monotonic() < end: time.sleep(0.2)\n"
        "    assert said == f'a trial takes 1 CPU, and 0 of {cores} CPUs are free: other work on the cluster has them', said\n"
        "assert 'OMP_WAIT_POLICY' not in os.environ, 'put back'\n"
    )
    inherited = {key: value for key, value in os.environ.items() if key not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=inherited, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
