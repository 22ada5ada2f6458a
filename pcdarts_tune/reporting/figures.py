"""The charts of a report: how the search went, what each setting does, accuracy against size, what it cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.drawing.picture import Picture
from pcdarts_tune.reporting.axis import Axis
from pcdarts_tune.reporting.chart import BEST, LOST, POINT, Chart, Point, bar_list
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.naming import short_count
from pcdarts_tune.spaces.ranges import CategoricalRange, ConditionalRange, Range, is_logarithmic
from pcdarts_tune.sweeps.leaderboard import short_hours

if TYPE_CHECKING:
    from pcdarts_tune.reporting.facts import Facts
    from pcdarts_tune.sweeps.leaderboard import Standing

ACCURACY = "held-out accuracy"


def accuracy_axis(facts: Facts) -> Axis:
    """Accuracy, the same in all charts of a report."""
    values = [s.record.objective for s in facts.complete if s.record.objective is not None]
    return Axis.of(values, ACCURACY, margin=0.1)


def hint(standing: Standing) -> str:
    """What is said of a trial where the mouse rests on it."""
    record = standing.record
    accuracy = record.state if record.objective is None else f"accuracy {record.objective:.4f}"
    reason = f": {record.reason}" if record.reason else ""
    return f"trial {record.trial}, {accuracy}{reason}, {naming.settings(record.hyperparameters)}".rstrip(", ")


def history(facts: Facts) -> Picture | None:
    """Every trial in the order it was proposed, and the best so far; those without an accuracy as crosses on the floor."""
    board = sorted(facts.standings, key=lambda s: s.record.trial)
    scored = [s for s in board if s.record.objective is not None]
    lost = [s for s in board if s.record.state in ("failed", "pruned")]
    if not scored:
        return None
    numbers = [s.record.trial for s in (*scored, *lost)]
    chart = Chart(
        Axis.of([min(numbers), max(numbers)], "trial", margin=0.03), accuracy_axis(facts), width=760
    )
    objectives = [s.record.objective or 0.0 for s in scored]
    so_far = list(itertools.accumulate(objectives, max))
    chart.steps(list(zip((s.record.trial for s in scored), so_far, strict=True)))
    chart.points([_dot(s, facts, s.record.trial) for s in scored])
    chart.crosses([Point(s.record.trial, 0, hint(s), LOST) for s in lost])
    _mark_best(chart, facts, lambda s: s.record.trial)
    words = f"{len(scored)} complete trials; the best so far ends at {so_far[-1]:.4f}."
    return chart.picture("Held-out accuracy by trial, and the best so far", words)


def importance_bars(facts: Facts) -> Picture | None:
    """A bar a setting; faint where chance alone gives as much."""
    found = facts.importances
    if not found.shares:
        return None
    top = max(found.shares.values()) or 1.0
    return bar_list(
        [
            (
                naming.short_name(key),
                share / top,
                f"{share:.2f}",
                POINT if key in found.above_chance else LOST,
            )
            for key, share in found.shares.items()
        ],
        width=460,
    )


def slices(facts: Facts) -> list[tuple[str, Picture]]:
    """Accuracy over each setting that differs."""
    accuracy = accuracy_axis(facts)
    found = []
    for key in facts.keys:
        shown = [s for s in facts.complete if key in s.record.hyperparameters]
        if not shown:
            continue
        values = [s.record.hyperparameters[key] for s in shown]
        item = facts.sweep.space.tune[key]
        log = is_logarithmic(item) and all(v > 0 for v in values)
        axis = Axis.of(values, key, log=log, choices=_choices(item))
        chart = Chart(axis, accuracy, width=335, height=240)
        chart.points([_dot(s, facts, s.record.hyperparameters[key], spread=1.0) for s in reversed(shown)])
        words = f"{len(shown)} complete trials{', on a logarithmic axis' if log else ''}."
        found.append((key, chart.picture(f"Held-out accuracy over {key}", words)))
    return found


def trade_offs(facts: Facts) -> list[tuple[str, Picture]]:
    """Accuracy against what the genotype costs to run, with the Pareto front: those than which none is both more accurate
    and cheaper."""
    sizes: list[tuple[str, str, Callable[[Standing], float | None]]] = [
        ("params", "parameters of the retraining network", lambda s: s.record.params),
        ("macs", "multiply-adds an image", lambda s: s.record.macs),
        ("latency", "milliseconds an image", lambda s: s.record.latency),
    ]
    found = []
    for name, title, size in sizes:
        shown = [(s, value) for s in facts.complete if (value := size(s)) is not None and value > 0]
        if not shown:
            continue
        values = [value for _, value in shown]
        log = max(values) > 8 * min(values)
        number = None if name == "latency" else _count
        chart = Chart(Axis.of(values, title, log=log, number=number), accuracy_axis(facts), width=520)
        front = pareto(shown)
        chart.steps([(value, s.record.objective or 0.0) for s, value in front])
        chart.points([_dot(s, facts, value) for s, value in reversed(shown)])
        for standing, value in front:
            chart.points([Point(value, standing.record.objective, hint(standing), BEST, 5)])
        words = "Pareto front: " + "; ".join(
            f"trial {s.record.trial}, {s.record.objective:.4f}, {number(value) if number else f'{value:.3g}'}"
            for s, value in front
        )
        found.append((name, chart.picture(f"Held-out accuracy against {title}", words)))
    return found


def pareto(shown: Sequence[tuple[Standing, float]]) -> list[tuple[Standing, float]]:
    """Those than which no other is as accurate and smaller, or as small and more accurate; smallest first."""
    front: list[tuple[Standing, float]] = []
    for standing, value in sorted(shown, key=lambda item: (item[1], -(item[0].record.objective or 0.0))):
        if not front or (standing.record.objective or 0.0) > (front[-1][0].record.objective or 0.0):
            front.append((standing, value))
    return front


def cost_bars(facts: Facts, unit: str) -> Picture | None:
    """What each trial spent."""
    spent = [(s, s.spent.hours) for s in facts.standings if s.spent is not None and s.spent.unit == unit]
    if len(spent) < 2:
        return None
    spent.sort(key=lambda item: item[0].record.trial)
    numbers = [s.record.trial for s, _ in spent]
    chart = Chart(
        Axis.of([min(numbers) - 0.6, max(numbers) + 0.6], "trial", margin=0.0, whole=True),
        Axis.of([0.0, max(hours for _, hours in spent)], f"{unit}-hours", margin=0.0),
        width=760,
        height=220,
    )
    room = (chart.width - 80) / (max(numbers) - min(numbers) + 1)
    bars = [
        Point(s.record.trial, hours, f"{hint(s)}, {short_hours(hours)} {unit}-hours", _colour(s, facts))
        for s, hours in spent
    ]
    chart.bars(bars, min(24.0, max(1.0, 0.7 * room)))
    return chart.picture(f"{unit}-hours of each trial", f"{len(spent)} trials.")


def _choices(item: Range) -> list[Any]:
    """The values of a setting that takes one of a few, in order; none of one that takes any number."""
    parts = list(item.ranges.values()) if isinstance(item, ConditionalRange) else [item]
    if not all(isinstance(part, CategoricalRange) for part in parts):
        return []
    given = [value for part in parts if isinstance(part, CategoricalRange) for value in part.choices]
    values: list[Any] = list(dict.fromkeys(given))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(values) if numbers else values


def _dot(standing: Standing, facts: Facts, x: object, *, spread: float = 0.0) -> Point:
    """A trial's dot; `spread` moves those of one category apart, each always the same way."""
    best = facts.best is not None and standing.record.trial == facts.best.record.trial
    aside = spread * ((standing.record.trial * 0.618) % 1 - 0.5) * 0.36
    size = 5.5 if best else 4.0
    return Point(x, standing.record.objective, hint(standing), BEST if best else POINT, size, aside)


def _colour(standing: Standing, facts: Facts) -> str:
    if standing.record.objective is None:
        return LOST
    return BEST if facts.best is not None and standing is facts.best else POINT


def _mark_best(chart: Chart, facts: Facts, x: Callable[[Standing], object]) -> None:
    if facts.best is not None:
        record = facts.best.record
        chart.points([_dot(facts.best, facts, x(facts.best))])
        chart.label(x(facts.best), record.objective, f"trial {record.trial}")


def _count(value: float) -> str:
    return short_count(round(value))
