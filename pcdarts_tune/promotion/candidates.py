"""Which genotypes are trained side by side: a sweep's best, and the baselines they have to beat.

choose_candidates(sweep, 3)                     # the three best distinct genotypes
parse_baselines(["default", "random:2"])        # Baselines(default=True, random=2)
draw_candidates(space, seed=0, count=2)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.say import say
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import TrialRecord

MOST_RANDOM = 100
"""The most random genotypes that one command trains."""


@dataclass(frozen=True)
class Candidate:
    """A genotype to train.

    Attributes:
        name: as it is printed: `trial 3`, `default`, `random 0`.
        kind: only a `candidate` can be chosen; the others are baselines.
        trial: the trial that found it; a baseline has none unless a trial found it.
        run_id: the MLflow run of that trial, or of the baseline's search.
        objective: score of the short training in the sweep. standard_error: of it.
    """

    name: str
    kind: Literal["candidate", "default", "random", "genotype"]
    genotype: AnyGenotype
    trial: int | None = None
    run_id: str | None = None
    objective: float | None = None
    standard_error: float | None = None

    @classmethod
    def of_trial(cls, record: TrialRecord) -> Candidate:
        """The genotype of a trial that has one."""
        assert record.genotype is not None, "only trials with a genotype are chosen"
        genotype = read_genotype(record.genotype)
        return cls(
            f"trial {record.trial}",
            "candidate",
            genotype,
            record.trial,
            record.run_id,
            record.objective,
            record.standard_error,
        )


@dataclass(frozen=True)
class Baselines:
    """What to compare with: the search with the space's own values, and so many random genotypes."""

    default: bool = False
    random: int = 0

    def __bool__(self) -> bool:
        return self.default or self.random > 0

    def check(self, space: Space) -> None:
        """Raises UserError where the space's method has no default to compare with."""
        if self.default and not METHODS[space.search.method].searches:
            raise UserError(
                f"--baseline default is a search with the space's own values, and search.method {space.search.method!r} "
                f"of space {space.name!r} searches nothing",
                hint="--baseline random:2, or a published name such as PC_DARTS_cifar in `retrain`",
            )


def parse_baselines(texts: Iterable[str]) -> Baselines:
    """Read `default`, `random` (one of them) and `random:N`.

    Raises:
        UserError: for anything else.
    """
    default, drawn = False, 0
    for text in texts:
        match = re.fullmatch(r"random(?::(\d{1,3}))?", text)
        if text == "default":
            default = True
        elif match and 1 <= int(match[1] or 1) <= MOST_RANDOM:
            drawn = max(drawn, int(match[1] or 1))
        else:
            raise UserError(
                f"--baseline {text!r} is none{nearest(text, ('default', 'random'))}: default, random, or random:N with "
                f"N from 1 to {MOST_RANDOM}",
                hint="--baseline default --baseline random:2",
            )
    return Baselines(default, drawn)


def choose_candidates(
    sweep: SweepHandle, count: int, *, trial: int | None, run_id: str | None, quiet: bool
) -> list[Candidate]:
    """The sweep's best `count` distinct genotypes, or as many as there are; of one, that of the trial that is named.

    Raises:
        UserError: when there is no such trial, or it has no genotype.
        WorkFailed: when no trial is complete.
    """
    best = _choose_trial(sweep, trial=trial, run_id=run_id)  # says what is wrong where there is none
    if count == 1:
        return [Candidate.of_trial(best)]
    found: dict[str, Candidate] = {}
    for record in sweep.records():
        if len(found) < count and record.state == "complete" and record.genotype is not None:
            # of several trials that found the same one, the first in the leaderboard stands for it
            candidate = Candidate.of_trial(record)
            found.setdefault(candidate.genotype.canonical_hash(), candidate)
    if len(found) < count and not quiet:
        say(f"note: the sweep has {len(found)} distinct genotypes, not {count}")
    return list(found.values())


def _choose_trial(sweep: SweepHandle, *, trial: int | None, run_id: str | None) -> TrialRecord:
    """The trial to promote: the one named by number or MLflow run, else the best."""
    if trial is not None:
        chosen = sweep.record(trial)
    elif run_id is not None:
        chosen = sweep.record_of_run(run_id)
    else:
        chosen = sweep.best()
    if chosen.genotype is None:
        reason = f": {chosen.reason}" if chosen.reason else ""
        raise UserError(
            f"trial {chosen.trial} of sweep {sweep.name!r} is {chosen.state}{reason}; it has no genotype to retrain",
            hint=sweep.command("leaderboard"),
        )
    return chosen


def find_default_trial(sweep: SweepHandle) -> TrialRecord | None:
    """The first complete trial that ran with the space's own values of everything that is tuned, as the first trial of a
    sweep does: it is the search with the default hyperparameters."""

    def text(values: dict[str, Any]) -> str:
        return json.dumps(values, sort_keys=True)  # tuples are lists in the study

    own = text({key: lookup(sweep.space, key) for key in sweep.space.tune})
    for record in sorted(sweep.records(), key=lambda record: record.trial):
        if record.state == "complete" and record.genotype is not None and text(record.hyperparameters) == own:
            return record
    return None


def draw_candidates(space: Space, seed: int, count: int) -> list[Candidate]:
    """Random genotypes of a space, the same ones for a seed."""
    found = []
    for number in range(count):
        drawn = derived_seed(seed, "random genotype", number)
        found.append(Candidate(f"random {number}", "random", space.supernet.draw_genotype(drawn)))
    return found


def unify_cells(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Equal cells written alike (a node's two edges may come in either order), so that they are trained once."""
    first: dict[str, AnyGenotype] = {}
    return [
        replace(each, genotype=first.setdefault(each.genotype.canonical_hash(), each.genotype))
        for each in candidates
    ]
