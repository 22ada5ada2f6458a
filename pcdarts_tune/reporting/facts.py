"""Everything a report says about a sweep, gathered from its study and its folder: no MLflow, no Ray, no network.

facts = gather(open_sweep(where, "first"))
facts.best, facts.level, facts.spent
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.reporting.importances import Importances, importances
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.leaderboard import Standing, standings
from pcdarts_tune.sweeps.sweep import counts
from pcdarts_tune.tasks import total

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import TrialRecord


@dataclass(frozen=True)
class Retraining:
    """A genotype that `promote` trained, by what its model's folder says; accuracies that were not read are None."""

    genotype_hash: str
    seed: int | None
    epochs: int
    held_out: float | None
    test: float | None


@dataclass(frozen=True)
class Facts:
    """A sweep as it is now.

    Attributes:
        standings: all trials, best first.
        keys: the settings that differ between trials, in the order of tables.
        states: how many trials are in each state.
        held_out: how many images the objective is an accuracy on; None where it cannot be told.
        spent: hours by unit (GPU, CPU), of the trials that say; `unspent`: how many do not.
        alphas: of the best trial by epoch, softmaxed; empty where its folder holds none.
        retrainings: what promotions trained.
        written: when this was read.
    """

    sweep: SweepHandle
    standings: Sequence[Standing]
    keys: Sequence[str]
    states: dict[str, int]
    target: int
    running: bool
    importances: Importances
    held_out: int | None
    spent: dict[str, float]
    unspent: int
    alphas: dict[int, dict[str, Any]]
    retrainings: Sequence[Retraining]
    written: str

    @property
    def records(self) -> list[TrialRecord]:
        return [standing.record for standing in self.standings]

    @property
    def complete(self) -> list[Standing]:
        """The trials with an objective, best first."""
        return [standing for standing in self.standings if standing.record.objective is not None]

    @property
    def best(self) -> Standing | None:
        return self.complete[0] if self.complete else None

    @property
    def resolution(self) -> float | None:
        """Differences of two accuracies below this say nothing: two standard errors of the difference of two networks on
        `held_out` images, as if they erred independently."""
        if self.best is None or self.best.record.objective is None or not self.held_out:
            return None
        # Agresti and Coull: an accuracy of 1 is not known without error either
        n = self.held_out + 4
        p = (self.best.record.objective * self.held_out + 2) / n
        return 2 * math.sqrt(2 * p * (1 - p) / n)

    @property
    def level(self) -> list[Standing]:
        """The complete trials that cannot be told apart from the best by their accuracy, itself included."""
        if self.best is None or self.resolution is None:
            return self.complete[:1]
        top = max(standing.record.objective or 0.0 for standing in self.complete)
        return [s for s in self.complete if top - (s.record.objective or 0.0) <= self.resolution]

    @property
    def leading_genotypes(self) -> list[Standing]:
        """The best trial of each genotype, best first."""
        seen: dict[str, Standing] = {}
        for standing in self.complete:
            if standing.record.genotype is not None:
                seen.setdefault(standing.record.genotype_hash or "", standing)
        return list(seen.values())

    def retrained(self, genotype_hash: str) -> Spread | None:
        """Held-out accuracies of the retrainings of a genotype."""
        values = [r.held_out for r in self.retrainings if r.genotype_hash == genotype_hash]
        known = [value for value in values if value is not None]
        return Spread(tuple(known)) if known else None


def gather(sweep: SweepHandle) -> Facts:
    """Read a sweep; works while it runs, and with no trial finished."""
    records = sweep.records()
    board = standings(records)
    best = next((record for record in records if record.objective is not None), None)
    ended = [record for record in records if record.state in ("complete", "pruned", "failed")]
    return Facts(
        sweep=sweep,
        standings=board,
        keys=sweep.keys,
        states=counts(records),
        target=sweep.target,
        running=sweep.running,
        importances=importances(records, sweep.space.tune),
        held_out=held_out_images(sweep),
        spent=total(ended),
        unspent=sum(standing.spent is None for standing in board if standing.record in ended),
        alphas={} if best is None else _alphas(sweep, best.trial),
        retrainings=_retrainings(sweep.folder.path / "promotions"),
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z").strip(),
    )


def held_out_images(sweep: SweepHandle) -> int | None:
    """How many images neither the weights nor the alphas see; None where none are held out or their number is not known."""
    data = sweep.space.data
    images = _profile(sweep).get("train_images")
    if data.split != "tuning" or not isinstance(images, int):
        return None
    return data.held_out if isinstance(data.held_out, int) else round(data.held_out * images)


def _profile(sweep: SweepHandle) -> dict[str, Any]:
    try:
        profile = json.loads(sweep.about["data"]["profile"])
    except (KeyError, TypeError, ValueError):
        return {}
    return profile if isinstance(profile, dict) else {}


def _alphas(sweep: SweepHandle, number: int) -> dict[int, dict[str, Any]]:
    """The softmaxed alphas and betas of a trial that ended, by epoch; what its folder does not hold is left out."""
    from pcdarts_tune.sweeps.trials.state import read_result

    try:
        result = read_result(sweep.folder.trial_address(number))
    except (OSError, ValueError):
        return {}
    history = result.get("history", []) if isinstance(result, dict) else []
    return {
        entry["epoch"]: entry["alphas"]
        for entry in history
        if entry.get("stage") == "search" and "alphas" in entry
    }


def _retrainings(folder: Path) -> list[Retraining]:
    found = []
    for file in sorted(folder.glob("*/model/model.json")):
        try:
            origin = json.loads(file.read_text(encoding="utf-8"))["origin"]
            result = origin["result"]
            found.append(
                Retraining(
                    file.parent.parent.name.partition("-")[0],
                    origin.get("seed"),
                    int(result["epochs"]),
                    result.get("validation_accuracy"),
                    result.get("test_accuracy"),
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a promotion that is being written, or of another version
    return found
