"""The page of the API, docs/python.md, run as one script in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page_runs_as_a_script(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 7
    file = tmp_path / "page.py"
    file.write_text("\n".join(blocks), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PCDARTS_TUNE_")}
    done = subprocess.run(
        [sys.executable, file.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "search.learning_rate" in said and "digits/1" in said
    assert "did you mean 'trials'" in said
    assert said.rstrip().splitlines()[-2] == "3", said
    assert "next: pt.open_sweep('first').promote(" in done.stderr
    left = {path.name for path in tmp_path.iterdir()}
    assert {"pcdarts-home", "first.html", "cells.svg", "genotype.json", "trained"} <= left
    assert "genotype.json.checkpoint" not in left
