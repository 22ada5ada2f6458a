"""How long a person waits for a sweep's leaderboard and report.

    python benchmarks/listing.py --trials 200 -o benchmarks/results/cpu-listing-200.json

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

from lookup import Table, drawn_rows, lookup_made, lookup_trial

from pcdarts_tune.files import write_whole
from pcdarts_tune.sweeps.study.study import Proposal
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tasks import Outcome, TrialTask, with_share

REASONS = (
    "out of memory with K 1, batch 512, channels 16: a smaller batch or a larger K needs less",
    "the search's training loss became nan in epoch 7: lower search.learning_rate or search.arch_learning_rate",
)


def recorded_sweep(
    home: Path,
    trials: int,
    *,
    name: str = "recorded",
    lost: int = 0,
    epochs: int = 6,
    rows: int = 60,
    **settings: Any,
) -> SweepHandle:
    """A sweep whose trials have ended, by the study's own doors.

    Args:
        lost: one trial in so many fails or is pruned; 0 for none.
        epochs: of a search, each with its alphas.
        rows: different genotypes there are to find.
    """
    sweep = lookup_made(home, trials, name=name, epochs=(epochs, 2), sampler="random", **settings)
    table = Table(drawn_rows(rows), (epochs, 2))
    while len(sweep.study) < trials:
        proposal = sweep.study.ask(trials)
        sweep.study.start(proposal.number)
        sweep.study.tell(proposal.number, _ended(sweep, proposal, table, lost))
    return open_sweep(home, name)


def _ended(sweep: SweepHandle, proposal: Proposal, table: Table, lost: int) -> Outcome:
    number = proposal.number
    task = TrialTask(
        number=number,
        seed=proposal.seed,
        evaluation_seed=0,
        hyperparameters=proposal.hyperparameters,
        space=sweep.space.model_dump_json(),
        folder=str(sweep.folder.trial(number)),
        evaluations=str(sweep.folder.evaluations),
        gpus=0.25,
    )
    if lost and number % lost == lost - 1:
        which = number // lost % len(REASONS)
        outcome = Outcome("failed" if which == 0 else "pruned", reason=REASONS[which], seconds=40.0)
    else:
        outcome = lookup_trial(task, table, lambda record: None)
    return with_share(outcome, task)


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
