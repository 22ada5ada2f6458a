"""Where each trial stands: its rank, who else found its genotype, the spread over seeds, what it cost.

standings(sweep.records())[0].to_dict()     # an entry of `leaderboard --json`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.promoting.spread import Spread
from pcdarts_tune.sweeping.spending import Spent, hours

if TYPE_CHECKING:
    from pcdarts_tune.sweeping.outcome import TrialRecord


@dataclass(frozen=True)
class Standing:
    """A trial among the others.

    Attributes:
        rank: 1 for the best; None unless complete.
        found_by: the trials that found its genotype, itself included; empty without one.
        spread: of the objective over the complete trials with the same settings, each with a search seed of its own; None
            where it is the only one.
        spent: GPU-hours, or CPU-hours of a trial without a GPU; None where that is not known.
    """

    record: TrialRecord
    rank: int | None
    found_by: tuple[int, ...]
    spread: Spread | None
    spent: Spent | None

    @property
    def skip_connections(self) -> int | None:
        """Of the normal cell."""
        if self.record.genotype is None:
            return None
        return [operation for operation, _ in self.record.genotype["normal"]].count("skip_connect")

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
        }


def standings(records: Sequence[TrialRecord]) -> list[Standing]:
    """All trials, in the order given (best first, as `SweepHandle.records` has them)."""
    found: dict[str, list[int]] = {}
    alike: dict[str, list[float]] = {}
    for record in records:
        if record.genotype_hash is not None:
            found.setdefault(record.genotype_hash, []).append(record.trial)
        if record.objective is not None:
            alike.setdefault(_settings(record), []).append(record.objective)
    result = []
    for place, record in enumerate(records, 1):
        values = alike.get(_settings(record), []) if record.objective is not None else []
        result.append(
            Standing(
                record=record,
                rank=place if record.objective is not None else None,
                found_by=tuple(sorted(found.get(record.genotype_hash or "", []))),
                spread=Spread(tuple(values)) if len(values) > 1 else None,
                spent=hours(record),
            )
        )
    return result


def _settings(record: TrialRecord) -> str:
    return json.dumps(record.hyperparameters, sort_keys=True)
