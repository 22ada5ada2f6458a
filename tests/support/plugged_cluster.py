"""A sweep on a Ray cluster of two nodes, each with folders of its own; started in the environment whose Python runs this.

    python tests/support/plugged_cluster.py HOME SHARED HIDDEN ARGUMENTS...        # of `pcdarts-tune sweep`

Neither node sees HOME or HIDDEN; SHARED takes the checkpoints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.soaking.environment import fresh
from support.soaking.nodes import ENVIRONMENT, Nodes


def main(home: str, shared: str, hidden: str, *arguments: str) -> int:
    for folder in (home, shared, hidden):
        Path(folder).mkdir(exist_ok=True)
    with Nodes(hidden=[Path(home), Path(hidden), Path("/tmp/ray")]) as nodes:
        nodes.add()
        nodes.add()
        where = ["--home", home, "--storage", shared, "--address", nodes.address]
        command = [sys.executable, "-m", "pcdarts_tune", "sweep", *where, *arguments]
        environment = {**fresh(), **ENVIRONMENT, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        return subprocess.run(command, env=environment, check=False, timeout=300).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
