"""How long a person waits for a sweep's leaderboard and report, and a notebook for its DataFrame.

    PYTHONPATH=tests python benchmarks/search/listing.py --trials 200 -o benchmarks/results/cpu-listing-200.json

Makes a sweep from recorded values (no Ray, no training: lookup.py's table, through the study as a driver would) and
times the commands as processes, start of Python included; the DataFrame also without it, in a process that has made one before.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from support.recorded import recorded_sweep

from pcdarts_tune.files import write_whole


def _timed(arguments: list[str], repeats: int) -> dict[str, Any]:
    seconds = []
    for _ in range(repeats):
        begun = time.monotonic()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.monotonic() - begun)
    return _summary(seconds)


def _summary(seconds: list[float]) -> dict[str, Any]:
    spread = {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
    return {"seconds": spread | {"n": len(seconds)}}


def _frames(home: Path, repeats: int) -> dict[str, Any]:
    """The DataFrame by a process of its own, and in this one, which has imported everything."""
    import pcdarts_tune as pt

    script = f"import pcdarts_tune as pt; pt.open_sweep('recorded', home={str(home)!r}).leaderboard()"
    seconds = []
    for _ in range(repeats + 1):
        begun = time.monotonic()
        pt.open_sweep("recorded", home=home).leaderboard()
        seconds.append(time.monotonic() - begun)
    return {"DataFrame": _timed(["-c", script], repeats), "DataFrame, again": _summary(seconds[1:])}


def _main() -> None:
    import argparse

    from pcdarts_tune.tracking.provenance import versions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, page = Path(folder) / "home", Path(folder) / "report.html"
        recorded_sweep(home, given.trials, lost=17)
        common = ["recorded", "--home", str(home)]
        command = ["-m", "pcdarts_tune"]
        result = {
            "trials": given.trials,
            "leaderboard": _timed([*command, "leaderboard", *common], given.repeats),
            "leaderboard --json": _timed([*command, "leaderboard", *common, "--json"], given.repeats),
            **_frames(home, given.repeats),
            "report": _timed([*command, "report", *common, "-o", str(page)], given.repeats),
            "report_bytes": page.stat().st_size,
            "cpu": os.cpu_count(),
            "versions": versions(),
            "date": time.strftime("%Y-%m-%d"),
        }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if given.output is not None:
        write_whole(given.output, text)


if __name__ == "__main__":
    _main()
