"""A leaderboard as CSV for spreadsheets and pandas: a line for each trial, a column for each setting; numbers as they are.

leaderboard_csv([("first", trial) for trial in rank_trials(records)])
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from pcdarts_tune.core.genotype import read_genotype, to_text
from pcdarts_tune.spaces.naming import ordered_keys
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.leaderboard import RankedTrial

BEFORE = ("sweep", "rank", "trial", "state", "objective", "standard_error", "searches", "std")
AFTER = ("params", "macs", "latency", "skip_connections", "gpu_hours", "cpu_hours")
LAST = ("genotype_hash", "genotype", "run_id", "reason")


def leaderboard_csv(rows: Sequence[tuple[str, RankedTrial]]) -> str:
    """The trials in the order given, each with its sweep; what is not known is empty.

    `searches` and `std` are those of a trial's own searches. Known accuracies of a table have columns `known.NAME`. The genotype
    is a text that every command reads.
    """
    keys = ordered_keys({key for _, trial in rows for key in trial.record.hyperparameters})
    known = list(dict.fromkeys(name for _, trial in rows for name in trial.known or {}))
    target = io.StringIO(newline="")
    names = [*BEFORE, *keys, *AFTER, *(f"known.{name}" for name in known), *LAST]
    writer = csv.DictWriter(target, names, lineterminator="\n")
    writer.writeheader()
    for sweep, trial in rows:
        values = {**trial.to_dict(), **trial.record.hyperparameters, "sweep": sweep}
        values |= {f"known.{name}": value for name, value in (trial.known or {}).items()}
        values |= {"searches": trial.record.searches, "std": Spread(trial.record.scores).std}
        values["genotype"] = _text(trial.record.genotype)
        writer.writerow({name: values.get(name) for name in names})
    return target.getvalue()


def _text(genotype: dict[str, Any] | None) -> str | None:
    if genotype is None:
        return None
    try:
        return to_text(read_genotype(genotype))
    except ValueError:  # of a family without a text, or with operations that this process does not know
        return None
