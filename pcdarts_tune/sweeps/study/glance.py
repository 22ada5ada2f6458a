"""A study in milliseconds: what a list of many sweeps says of each, from the SQLite file itself, where Optuna takes a tenth of a
second to open one.

    glance_at(folder.path / "study.db")         # Glance(target=32, states={"complete": 30, "failed": 2}, best=(7, 0.97), ...)
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.addresses import sqlite_address
from pcdarts_tune.databases import find_trouble, open_read_only
from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeps.study.foreign_trials import FOREIGN
from pcdarts_tune.tasks import ENDED, STATES, State

_TRIALS = "SELECT trial_id, number, state FROM trials"
_ATTRIBUTES = "SELECT trial_id, key, value_json FROM trial_user_attributes WHERE key IN ('started', 'outcome', 'foreign')"
_TARGET = "SELECT value_json FROM study_user_attributes WHERE key = 'target'"


@dataclass(frozen=True)
class Glance:
    """What a study says at a glance.

    Attributes:
        target: how many trials the sweep shall have.
        states: how many trials are in each state, those states that occur.
        best: number and score of the best complete trial; None where there is none.
        open: numbers of the trials that have not ended.
    """

    target: int
    states: Mapping[str, int]
    best: tuple[int, float] | None
    open: frozenset[int] = frozenset()

    @property
    def ended(self) -> int:
        """Trials that have ended, however."""
        return sum(self.states.get(state, 0) for state in ENDED)


def glance_at(file: Path) -> Glance:
    """What the study in an SQLite file says; nothing is written, and a driver that writes is waited for a second.

    Raises:
        UserError: the file is missing, damaged or no study.
    """
    if not file.is_file():
        raise UserError(f"{file} is missing: it holds the sweep's trials", hint="put it back where it was")
    try:
        with closing(open_read_only(file, timeout=1.0)) as database:
            trials = database.execute(_TRIALS).fetchall()
            attributes = database.execute(_ATTRIBUTES).fetchall()
            target = database.execute(_TARGET).fetchone()
        of_trial: dict[int, dict[str, Any]] = {}
        for trial, key, text in attributes:
            of_trial.setdefault(trial, {})[key] = json.loads(text)
        wanted = 0 if target is None else int(json.loads(target[0]))
        found = [(number, state, of_trial.get(trial, {})) for trial, number, state in trials]
        others = sum(FOREIGN in known for *_, known in found)
        own = [(number - others, state, known) for number, state, known in found if FOREIGN not in known]
        return _count(wanted, own)
    except sqlite3.Error as error:
        raise find_trouble(error, sqlite_address(file)).explain("the Optuna study") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        hint = "a version of pcdarts-tune that wrote it, or a copy of the file"
        raise UserError(f"{file} is not what a sweep writes", hint=hint) from None


def _count(target: int, trials: list[tuple[int, str, dict[str, Any]]]) -> Glance:
    states: Counter[State] = Counter()
    best: tuple[int, float] | None = None
    left = set()
    for number, state, known in sorted(trials, key=lambda trial: trial[0]):
        if state in ("RUNNING", "WAITING"):
            states["running" if "started" in known else "waiting"] += 1
            left.add(number)
            continue
        outcome = known.get("outcome", {"state": "failed"})
        states[outcome["state"]] += 1
        score = outcome.get("objective")
        if outcome["state"] == "complete" and score is not None and (best is None or score > best[1]):
            best = (number, float(score))
    return Glance(target, {state: states[state] for state in STATES if states[state]}, best, frozenset(left))
