"""Terminals whose encoding lacks letters of a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_names_that_a_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    for name in ("\u72ac", "\u732b"):
        (tmp_path / "\u5199\u771f" / name).mkdir(parents=True)
    for arguments, code in (
        (["doctor", "--space", "quickstart", "--data", "\u5199\u771f"], 1),
        (["predict", "\u732b", "\u732b.png"], 2),
        (["spaces", "\u732b"], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pcdarts_tune", *arguments],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "cp1252"},
            timeout=120,
        )
        told = (done.stdout + done.stderr).decode("cp1252")
        assert done.returncode == code, told
        assert "Traceback" not in told
        assert "UnicodeEncodeError" not in told
        assert r"\u" in told
