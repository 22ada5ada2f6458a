"""A sweep's leaderboard: its trials best first, as a list and as a DataFrame.

board_frame(read_board(open_sweep(where, "first"))[0])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.sweeps.benchmark import read_benchmark
from pcdarts_tune.sweeps.comparison import Comparison, compare_sweeps
from pcdarts_tune.sweeps.leaderboard import RankedTrial, add_known, rank_trials
from pcdarts_tune.sweeps.sweep import SweepHandle

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("rank", "trial", "state", "objective", "standard_error")
LAST = (
    "params",
    "macs",
    "skip_connections",
    "gpu_hours",
    "cpu_hours",
    "seconds",
    "genotype_hash",
    "run_id",
    "reason",
)
"""Columns that a frame always has, before and after those of the hyperparameters; then follows what else is known of some
trial."""
WHOLE = ("rank", "params", "macs", "skip_connections")
REAL = ("objective", "standard_error", "gpu_hours", "cpu_hours", "seconds")


def read_board(
    sweep: SweepHandle, benchmark: Path | None = None, truth: str | None = None
) -> tuple[list[RankedTrial], tuple[str, ...]]:
    """All trials of a sweep, and the columns of a table of known accuracies that stand beside them.

    Args:
        benchmark: the file of that table. `truth`: its columns, divided by commas.

    Raises:
        UserError: a table that cannot be read.
    """
    table, known = read_benchmark(benchmark, truth)
    return add_known(rank_trials(sweep.records()), table), tuple(known)


def read_comparison(
    sweeps: Sequence[SweepHandle], benchmark: Path | None = None, truth: str | None = None
) -> tuple[Comparison, tuple[str, ...]]:
    """The same of several sweeps, side by side.

    Raises:
        UserError: a table that cannot be read, or sweeps that score cells differently.
    """
    table, known = read_benchmark(benchmark, truth)
    return compare_sweeps(sweeps, table), tuple(known)


def board_frame(board: Sequence[RankedTrial], keys: Sequence[str] = ()) -> pd.DataFrame:
    """A row for each trial, in the order given.

    The columns are those of `leaderboard --json`: hyperparameters (`keys` first) by their dotted key, of other mappings
    `held_out.accuracy` and the like, and at the end the genotype as an object.
    """
    import pandas as pd

    rows = [_row(standing) for standing in board]
    found = list(dict.fromkeys([*keys, *(key for row in rows for key in row)]))
    more = [key for key in found if key not in (*FIRST, *LAST, "genotype")]
    settings = [key for key in more if key in keys or any(key in of.record.hyperparameters for of in board)]
    others = [key for key in more if key not in settings]
    frame = pd.DataFrame(rows, columns=[*FIRST, *settings, *LAST, *others, "genotype"])
    # whole numbers stay whole where some trials have none
    return frame.astype(dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(REAL, "float64"))


def _row(standing: RankedTrial) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in standing.to_dict().items():
        if key == "hyperparameters":
            row |= value
        elif key == "genotype":
            row[key] = None if value is None else read_genotype(value)
        elif isinstance(value, Mapping):
            row |= {f"{key}.{name}": entry for name, entry in value.items()}
        elif value is not None:
            row[key] = value
    return row
