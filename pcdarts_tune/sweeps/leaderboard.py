"""The leaderboard: where each trial stands, who else found its genotype, the spread over seeds, what it cost; as a table or JSON.

board = rank_trials(sweep.records())
board[0].to_dict()                                                  # an entry of `leaderboard --json`
print_leaderboard(board, sweep.keys, sweep.space.objective)         # on stdout: it is a result
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.errors import visible
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.scores import score_title
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.benchmark import Benchmark
from pcdarts_tune.sweeps.noise import read_noise
from pcdarts_tune.tasks import Spent, TrialRecord, hours
from pcdarts_tune.training.scoring import describe_majority


@dataclass(frozen=True)
class RankedTrial:
    """A trial among the others.

    Attributes:
        rank: 1 for the best; None unless complete.
        found_by: the trials that found its genotype, itself included; empty without one.
        spread: of what all searches with the same settings scored, each with a seed of its own, in this trial and other
            complete ones; None where there was one.
        spent: GPU-hours, or CPU-hours of a trial without a GPU; None where that is not known.
        known: what a table of known accuracies says of its cell, by column; None without a table, empty where it does not
            have the cell.
    """

    record: TrialRecord
    rank: int | None
    found_by: tuple[int, ...]
    spread: Spread | None
    spent: Spent | None
    known: Mapping[str, float] | None = None

    @property
    def skip_connections(self) -> int | None:
        """Of the normal cell, or of the only one."""
        if self.record.genotype is None:
            return None
        return read_genotype(self.record.genotype).skip_connections

    def to_dict(self) -> dict[str, Any]:
        """The trial's record, and what is known of it beside the others."""
        spent = {} if self.spent is None else {self.spent.unit: self.spent.hours}
        return {
            **self.record.to_dict(),
            "rank": self.rank,
            "skip_connections": self.skip_connections,
            "found_by": list(self.found_by),
            "spread": None if self.spread is None else self.spread.to_dict(),
            "gpu_hours": spent.get("GPU"),
            "cpu_hours": spent.get("CPU"),
            **({} if self.known is None else {"known": dict(self.known) or None}),
        }


def rank_trials(records: Sequence[TrialRecord]) -> list[RankedTrial]:
    """All trials, in the order given (best first, as `SweepHandle.records` has them)."""
    found: dict[str, list[int]] = {}
    alike: dict[str, list[float]] = {}
    for record in records:
        if record.genotype_hash is not None:
            found.setdefault(record.genotype_hash, []).append(record.trial)
        if record.objective is not None:
            alike.setdefault(_settings(record), []).extend(record.scores)
    result = []
    for place, record in enumerate(records, 1):
        values = alike.get(_settings(record), []) if record.objective is not None else []
        result.append(
            RankedTrial(
                record=record,
                rank=place if record.objective is not None else None,
                found_by=tuple(sorted(found.get(record.genotype_hash or "", []))),
                spread=Spread(tuple(values)) if len(values) > 1 else None,
                spent=hours(record),
            )
        )
    return result


def add_known(board: Sequence[RankedTrial], table: Benchmark | None) -> list[RankedTrial]:
    """The same trials with what a table of known accuracies, where there is one, says of their cells."""
    if table is None:
        return list(board)
    return [
        replace(
            trial,
            known=(trial.record.genotype and table.known(read_genotype(trial.record.genotype))) or {},
        )
        for trial in board
    ]


def _settings(record: TrialRecord) -> str:
    return json.dumps(record.hyperparameters, sort_keys=True)


def leaderboard_json(board: Sequence[RankedTrial]) -> str:
    """The list that `--json` prints, best first."""
    return json.dumps([standing.to_dict() for standing in board])


def print_leaderboard(
    board: Sequence[RankedTrial], keys: Sequence[str], objective: str, known: Sequence[str] = ()
) -> None:
    """Trials as a table on stdout, in the order given, and under it whether they lie within the noise; `keys` are the settings
    to show, `objective` is the score, `known` the columns of a table of known accuracies. Where there are several objectives, a
    star marks the Pareto front. In a pipe nothing is cut off."""
    print_columns(leaderboard_columns(board, keys, objective, known))
    for line in score_notes([trial.record for trial in board], objective):
        print(line)


def print_columns(columns: Mapping[str, Sequence[str]]) -> None:
    """Columns of a leaderboard as a table on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        if title == "outcome":
            table.add_column(title, overflow="fold")
        else:
            table.add_column(
                title, justify="left" if title in ("genotype", "sweep") else "right", no_wrap=True
            )
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(visible, cells))
    width = None if sys.stdout.isatty() else 200
    # a reason may hold [brackets], which are no markup
    Console(width=width, soft_wrap=False, markup=False, emoji=False).print(table, highlight=False)


def score_notes(records: Sequence[TrialRecord], objective: str) -> list[str]:
    """What has to be said beside the scores: a majority class that alone makes for a high accuracy, and trials that lie within
    the noise."""
    noise = read_noise(records, objective)
    best = next((record for record in records if record.objective is not None), None)
    majority = None if best is None else describe_majority(best.held_out)
    said = [None if majority is None else f"an accuracy may mislead here: {majority} of the held-out images"]
    said.append(str(noise) if noise is not None and noise.within else None)
    return [line for line in said if line is not None]


def leaderboard_columns(
    board: Sequence[RankedTrial], keys: Sequence[str], objective: str, known: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Title -> a cell a trial; columns that nobody fills are left out, and so is how many trials found a genotype where
    each found its own."""

    def column(cell: Callable[[RankedTrial], object]) -> list[str]:
        return ["" if (value := cell(standing)) is None else str(value) for standing in board]

    def setting(key: str, of: TrialRecord) -> str | None:
        return naming.short_value(of.hyperparameters[key]) if key in of.hyperparameters else None

    def spent(unit: str, of: RankedTrial) -> str | None:
        return short_hours(of.spent.hours) if of.spent is not None and of.spent.unit == unit else None

    title = score_title(objective)
    columns = {
        "rank": column(lambda s: s.rank),
        "trial": column(lambda s: s.record.trial),
        title: column(lambda s: _four(s.record.objective)),
        "± se": column(lambda s: _four(s.record.standard_error)),
        "sd (seeds)": column(lambda s: _four(s.record.seed_std)),
        "bal. acc": column(lambda s: _balanced(s.record) if objective != "balanced_accuracy" else None),
        "sd (searches)": column(lambda s: _deviation(s.record.scores)),
        "mean ± sd (n)": column(
            # of a trial's own searches the score is the mean
            lambda s: (
                f"{s.spread.mean:.4f} ± {s.spread.std:.4f} ({s.spread.n})"
                if s.spread is not None and s.spread.n > s.record.searches
                else None
            )
        ),
        **{name: column(lambda s, name=name: _known(s, name)) for name in known},  # type: ignore[misc]
        "Pareto": column(lambda s: "*" if s.record.pareto else None),
        **{naming.short_name(key): column(lambda s, key=key: setting(key, s.record)) for key in keys},  # type: ignore[misc]
        "params": column(lambda s: naming.short_count(s.record.params)),
        "MACs": column(lambda s: naming.short_count(s.record.macs)),
        "latency": column(lambda s: None if s.record.latency is None else f"{s.record.latency:.3g} ms"),
        "skips": column(lambda s: s.skip_connections),
        **{f"{unit}-h": column(lambda s, unit=unit: spent(unit, s)) for unit in ("GPU", "CPU")},  # type: ignore[misc]
        "found": column(lambda s: len(s.found_by) or None),
        "genotype": column(lambda s: (s.record.genotype_hash or "")[:8]),
        "outcome": column(lambda s: ": ".join(filter(None, (s.record.state, s.record.reason)))),
    }
    if all(len(standing.found_by) < 2 for standing in board):
        del columns["found"]
    always = ("rank", "trial", title, "params", "MACs", "skips", "genotype", "outcome")
    return {title: cells for title, cells in columns.items() if title in always or any(cells)}


def _four(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _deviation(scores: Sequence[float]) -> str | None:
    """Of what a trial's searches scored, where there were several."""
    return f"{Spread(tuple(scores)).std:.4f} ({len(scores)})" if len(scores) > 1 else None


def _balanced(record: TrialRecord) -> str | None:
    """The balanced accuracy, where the accuracy alone may mislead."""
    return _four(record.held_out["balanced_accuracy"]) if describe_majority(record.held_out) else None


def _known(standing: RankedTrial, column: str) -> str | None:
    value = (standing.known or {}).get(column)
    return None if value is None else f"{value:.6g}"


def short_hours(hours: float) -> str:
    """Two digits that count: `0.0083`, `1.2`, `340`."""
    return f"{hours:.2g}" if hours < 100 else f"{hours:.0f}"
