"""What a soak's sweeps came to, added up, sweep by sweep.

tally = Tally(kills=20, sweeps=4, trials=4)
while (most := tally.wanted()):
    undisturbed, _ = run_undisturbed(folder / f"undisturbed-{tally.number}", trials, tally.number)
    ...                                                     # at most `most` kills
    tally.add(home, undisturbed, kills)
return {"what": "kill -9 of the driver", **tally.result()}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.soaking.audit import audit, differences, summed
from support.soaking.sweeps import NAME, SMALL, say


class Tally:
    """Counts kills until there were enough, shared among `sweeps` sweeps, and more where a sweep ended too soon."""

    def __init__(self, kills: int, sweeps: int, trials: int) -> None:
        self.kills, self.sweeps, self.trials = kills, sweeps, trials
        self.number = 0
        self.each: list[dict[str, Any]] = []
        self._counts: list[dict[str, Any]] = []
        self._differences: list[str] = []

    def wanted(self) -> int:
        """Begin the next sweep: how many kills it shall see, 0 when there were enough."""
        most = min(self.kills - len(self.each), -(-self.kills // self.sweeps))
        self.number += most > 0
        return most

    def add(self, home: Path, undisturbed: Path, kills: list[dict[str, Any]]) -> None:
        """A sweep has ended: what was killed in it, what is lost or doubled, what differs from the undisturbed one."""
        self.each += [{"sweep": self.number, **kill} for kill in kills]
        counts = audit(home, NAME, self.trials)
        self._counts.append(counts)
        self._differences += [f"sweep {self.number}, {text}" for text in differences(home, undisturbed, NAME)]
        wrong = {name: n for name, n in counts.items() if n}
        say(
            f"sweep {self.number}: {len(kills)} kills, {wrong or 'all counts 0'}, {len(self._differences)} differences"
        )

    def result(self) -> dict[str, Any]:
        return {
            "space": "quickstart " + " ".join(SMALL),
            "sweeps": self.number,
            "trials": self.number * self.trials,
            "kills": len(self.each),
            "counts": summed(self._counts),
            "differences": self._differences,
            "each": self.each,
        }
