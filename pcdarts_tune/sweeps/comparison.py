"""Several sweeps side by side: the best after so many trials and so many hours, and all their trials in one order.

    compared = compare_sweeps([open_sweep(where, "tuned"), open_sweep(where, "random")])
    compared.courses[0].after_trials(8)         # Best(0.9861, ...) of its first eight trials
    compared.to_dict()                          # what `leaderboard A B --json` prints

Trials count in the order of their numbers, those that were pruned or failed too: they were paid for. Sweeps are compared only
where a cell would score alike in them: the same images, split, evaluation recipe, objective and precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.keys import flatten
from pcdarts_tune.spaces.naming import ordered_keys
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import label
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.benchmark import Benchmark
from pcdarts_tune.sweeps.leaderboard import (
    RankedTrial,
    add_known,
    leaderboard_columns,
    rank_trials,
    score_notes,
    short_hours,
)
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.tasks import ENDED, STATES, Spent, TrialRecord, hours, total

NOT_DECIDING = ("download", "memory_limit_gb")
"""Keys of `data` that change no number."""


@dataclass(frozen=True)
class Best:
    """The best trial so far: its score, and the deviation over its searches where there were `n` > 1."""

    trial: int
    objective: float
    std: float | None
    n: int

    @classmethod
    def among(cls, records: Sequence[TrialRecord]) -> Best | None:
        """Of these trials; None where none is complete. Of equal ones the earliest."""
        complete = [record for record in records if record.objective is not None]
        if not complete:
            return None
        best = max(complete, key=lambda record: (record.objective, -record.trial))
        spread = Spread(best.scores)
        assert best.objective is not None, "only complete ones are looked at"
        return cls(best.trial, best.objective, spread.std, spread.n)

    def __str__(self) -> str:
        return f"{self.objective:.4f}" + (f" ± {self.std:.4f} ({self.n})" if self.std is not None else "")


@dataclass(frozen=True)
class Course:
    """How one sweep went: `records` are its trials, best first."""

    sweep: SweepHandle
    records: Sequence[TrialRecord]

    @property
    def name(self) -> str:
        return self.sweep.name

    @cached_property
    def ended(self) -> list[TrialRecord]:
        """The trials that have ended, by number."""
        return sorted(
            (record for record in self.records if record.state in ENDED), key=lambda record: record.trial
        )

    @cached_property
    def spent(self) -> list[Spent | None]:
        """What the first, the first two, ... of the ended trials cost together; None from one on that does not say, or that
        says it in another unit."""
        sums: list[Spent | None] = []
        for record in self.ended:
            cost, before = hours(record), sums[-1] if sums else Spent(0.0, "")
            known = cost is not None and before is not None and before.unit in ("", cost.unit)
            sums.append(Spent(before.hours + cost.hours, cost.unit) if known else None)  # type: ignore[union-attr]
        return sums

    @property
    def whole(self) -> Spent | None:
        """The cost of all ended trials; None where it is not known."""
        return self.spent[-1] if self.spent else None

    def after_trials(self, count: int) -> Best | None:
        """The best of the first `count` trials; None where fewer have ended, or none is complete."""
        return Best.among(self.ended[:count]) if count <= len(self.ended) else None

    def after_hours(self, budget: float) -> Best | None:
        """The best of the first trials that cost at most so many hours together; None where none did, or is complete."""
        within = [cost is not None and cost.hours <= budget * (1 + 1e-9) for cost in self.spent]
        return Best.among([record for record, paid in zip(self.ended, within, strict=True) if paid])

    def to_dict(self, points: Sequence[int], budgets: Sequence[float]) -> dict[str, Any]:
        space, settings = self.sweep.space, self.sweep.settings
        return {
            "sweep": self.name,
            "space": space.name,
            "method": space.search.method,
            "sampler": settings.sampler,
            "seed": settings.seed,
            "repeats": space.repeats,
            "trials": self.sweep.target,
            "states": counts(list(self.records)),
            "hours": total(self.ended),
            "after_trials": [
                {"trials": count, **vars(best)} for count in points if (best := self.after_trials(count))
            ],
            "after_hours": [
                {"hours": budget, **vars(best)} for budget in budgets if (best := self.after_hours(budget))
            ],
        }


@dataclass(frozen=True)
class Comparison:
    """Sweeps side by side; `notes`: what to bear in mind."""

    courses: Sequence[Course]
    notes: tuple[str, ...]
    benchmark: Benchmark | None = None

    @property
    def objective(self) -> str:
        """The score that all sweeps aim at."""
        return self.courses[0].sweep.space.objective

    @property
    def points(self) -> list[int]:
        """Numbers of trials to look at: 1, 2, 4, 8, ... and as many as each sweep has."""
        ends = {len(course.ended) for course in self.courses} - {0}
        return sorted({2**power for power in range(max(ends, default=0).bit_length())} | ends)

    @property
    def unit(self) -> str | None:
        """CPU or GPU, where all sweeps say their cost in it."""
        units = {None if course.whole is None else course.whole.unit for course in self.courses}
        return units.pop() if len(units) == 1 else None

    @property
    def budgets(self) -> list[float]:
        """Hours to look at: a quarter, a half and all of what the cheapest sweep cost, doubled up to the cost of the dearest,
        which is the last; none where costs are not known in one unit."""
        if self.unit is None:
            return []
        costs = [course.whole.hours for course in self.courses if course.whole is not None]
        least, most = min(costs), max(costs)
        if least <= 0:
            return [most] if most > 0 else []
        found, budget = [], least / 4
        while budget < most * (1 - 1e-9):
            found.append(budget)
            budget *= 2
        return [*found, most]

    @cached_property
    def pooled(self) -> list[tuple[Course, RankedTrial]]:
        """All trials, best first; who found a genotype, and the spread, are those of a trial's own sweep."""
        rows = [
            (course, trial)
            for course in self.courses
            for trial in add_known(rank_trials(course.records), self.benchmark)
        ]
        order = {id(course): place for place, course in enumerate(self.courses)}

        def place(row: tuple[Course, RankedTrial]) -> tuple[int, float, float, int, int]:
            record = row[1].record
            objective, params = record.objective, record.params
            return (
                STATES.index(record.state),
                0.0 if objective is None else -objective,
                float("inf") if params is None else params,
                order[id(row[0])],
                record.trial,
            )

        rows.sort(key=place)
        return [
            (course, replace(trial, rank=number if trial.record.objective is not None else None))
            for number, (course, trial) in enumerate(rows, 1)
        ]

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """What the first column is, and rows of a point and the best of each sweep there: over trials, and over hours where
        these are known."""

        def row(text: str, bests: Iterable[Best | None]) -> list[str]:
            return [text, *("" if best is None else str(best) for best in bests)]

        trials = [row(str(n), (each.after_trials(n) for each in self.courses)) for n in self.points]
        hours = [row(short_hours(h), (each.after_hours(h) for each in self.courses)) for h in self.budgets]
        tables = [("best of the first n trials", trials), (f"best within {self.unit}-hours", hours)]
        return [(title, rows) for title, rows in tables if rows]

    def columns(self, known: Sequence[str] = ()) -> dict[str, list[str]]:
        """The pooled leaderboard: title -> a cell a trial; `known`: columns of the benchmark."""
        keys = ordered_keys({key for course in self.courses for key in course.sweep.keys})
        # a Pareto front is one among the trials of a sweep
        board = [replace(trial, record=replace(trial.record, pareto=None)) for _, trial in self.pooled]
        names = [course.name for course, _ in self.pooled]
        rank, *others = leaderboard_columns(board, keys, self.objective, known).items()
        return dict([rank, ("sweep", names), *others])

    def to_dict(self) -> dict[str, Any]:
        return {
            "sweeps": [course.to_dict(self.points, self.budgets) for course in self.courses],
            "unit": self.unit,
            "trials": [
                {"sweep": course.name, "method": course.sweep.space.search.method, **trial.to_dict()}
                for course, trial in self.pooled
            ],
            "notes": list(self.notes),
        }


def compare_sweeps(sweeps: Sequence[SweepHandle], benchmark: Benchmark | None = None) -> Comparison:
    """Put sweeps side by side.

    Args:
        benchmark: known accuracies that are shown beside the trials.

    Raises:
        UserError: a sweep is named twice, or cells do not score alike in them; it says what differs.
    """
    names = [sweep.name for sweep in sweeps]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"sweep {twice!r} is named twice", hint="name each sweep once")
    first, *others = sweeps
    for other in others:
        if differences := differing_evaluations(first, other):
            raise UserError(
                f"sweeps {first.name!r} and {other.name!r} score cells differently, so their trials cannot be ranked "
                f"together: {'; '.join(differences)}",
                hint=f"`leaderboard` of each alone; or run one again with the other's {differences[0].partition(' ')[0]}",
            )
    courses = [Course(sweep, sweep.records()) for sweep in sweeps]
    records = [record for course in courses for record in course.records]
    noise = score_notes(records, first.space.objective)
    return Comparison(courses, (*noise, *_list_notes(courses)), benchmark)


def differing_evaluations(a: SweepHandle, b: SweepHandle) -> list[str]:
    """What makes a cell score differently in two sweeps, `evaluation.epochs 5 in a, 3 in b` each; empty where it scores
    alike."""
    return differing_scorings(Scoring.of(a), Scoring.of(b))


@dataclass(frozen=True)
class Scoring:
    """What decides how a cell scores in a sweep, made or not: its space, the digest of its images, its precision."""

    name: str
    space: Space
    digest: str
    precision: str

    @classmethod
    def of(cls, sweep: SweepHandle) -> Scoring:
        """Of a sweep that was made."""
        return cls(sweep.name, sweep.space, sweep.about["data"]["digest"], sweep.settings.precision)


def differing_scorings(a: Scoring, b: Scoring) -> list[str]:
    """As `differing_evaluations`."""
    pairs: dict[str, tuple[Any, Any]] = {"images": (a.digest, b.digest)}
    pairs["objective"] = (a.space.objective, b.space.objective)
    pairs["precision"] = (a.precision, b.precision)
    for section in ("data", "evaluation"):
        mine, its = (flatten(getattr(each.space, section).model_dump(mode="json")) for each in (a, b))
        keys = [key for key in (mine | its) if key not in NOT_DECIDING]
        pairs |= {f"{section}.{key}": (mine.get(key), its.get(key)) for key in keys}
    return [
        f"{key} {label(mine)} in {a.name}, {label(its)} in {b.name}"
        for key, (mine, its) in pairs.items()
        if mine != its
    ]


def _list_notes(courses: Sequence[Course]) -> list[str]:
    found = [
        f"{course.name}: {len(course.ended)} of {course.sweep.target} trials have ended"
        for course in courses
        if len(course.ended) < course.sweep.target
    ]

    def differ(values: Sequence[object]) -> str | None:
        texts = [f"{value} in {course.name}" for course, value in zip(courses, values, strict=True)]
        return ", ".join(texts) if len(set(values)) > 1 else None

    if text := differ([course.sweep.settings.seed for course in courses]):
        found.append(
            f"evaluations have the seed of their sweep ({text}): equal cells score a little differently"
        )
    if text := differ([course.sweep.space.repeats for course in courses]):
        found.append(
            f"searches of a trial: {text}; the best single search is luckier than the best mean of several"
        )
    if text := differ([", ".join(course.sweep.space.objectives) for course in courses]):
        found.append(f"objectives: {text}; here trials are ranked by their score alone")
    if len({course.sweep.space.retrain.model_dump_json() for course in courses}) > 1:
        found.append("params and MACs are those of each sweep's own retraining network, and these differ")
    return found
