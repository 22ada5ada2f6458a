"""The command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run_json(arguments: list[str]) -> Any:
    """What a command prints with --json, run in a process of its own as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", "pcdarts_tune", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
