"""How long a person waits for a sweep's leaderboard and report.

    PYTHONPATH=tests python benchmarks/search/listing.py --trials 200 -o benchmarks/results/cpu-listing-200.json

Makes a sweep from recorded values (no Ray, no training: lookup.py's table, through the study as a driver would) and
times the commands as processes, start of Python included.
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
        subprocess.run([sys.executable, "-m", "pcdarts_tune", *arguments], check=True, capture_output=True)
        seconds.append(time.monotonic() - begun)
    return {
        "seconds": {
            "median": statistics.median(seconds),
            "min": min(seconds),
            "max": max(seconds),
            "n": repeats,
        }
    }


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
        result = {
            "trials": given.trials,
            "leaderboard": _timed(["leaderboard", *common], given.repeats),
            "leaderboard --json": _timed(["leaderboard", *common, "--json"], given.repeats),
            "report": _timed(["report", *common, "-o", str(page)], given.repeats),
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
