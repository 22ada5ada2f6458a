"""What `calibrate` prints: how well each recipe ranks, a row for each score."""

from __future__ import annotations

import math
from collections.abc import Iterator

import click

from pcdarts_tune.calibration.agreement import Estimate
from pcdarts_tune.calibration.figures import Figures
from pcdarts_tune.calibration.result import PREDICTORS, RULE, CalibrationResult, RecipeFigures, describe
from pcdarts_tune.say import print_table, say
from pcdarts_tune.sweeps.leaderboard import short_hours

COLUMNS = (
    "recipe",
    "score",
    "epochs",
    "Spearman",
    "95 %",
    "Kendall",
    "better of 2",
    "regret",
    "noise",
    "± se",
    "spread",
)


def print_calibration(result: CalibrationResult) -> None:
    """The table on stdout, and what it means."""
    for item, reason in result.failed[:5]:
        say(
            f"cell {item.cell.name}, recipe {item.recipe.name}, seed {item.seed} failed: {reason} (remove "
            f"{result.calibration.address(item)} to try it again)"
        )
    if len(result.failed) > 5:
        say(f"and {len(result.failed) - 5} more (--json has all)")
    if not result.recipes:
        say("fewer than two cells were trained: there is nothing to rank")
        return
    several = len(result.recipes) > 1
    units = {each.unit for each in result.recipes}
    columns = [*COLUMNS, f"{'/'.join(sorted(units))}-h a cell"]
    rows = [row for each in result.recipes for row in _rows(each, brief=several)]
    # with several recipes those of the first: the order of sizes hardly depends on width and depth
    rows += _predictors(result.recipes[0])
    print_table(columns, rows, left=2)
    for each in result.recipes:
        click.echo(f"{each.recipe.name}: {describe(each)}")
    if result.comparison is not None:
        click.echo(str(result.comparison))
        say(f"rule: {RULE}")


def _rows(recipe: RecipeFigures, *, brief: bool) -> Iterator[list[str]]:
    """The space's objective after the last epoch and the best; the other scores, of which a `brief` table has the best."""
    first, *others = recipe.ordered_scores
    if brief:
        others = [name for name in others if _value(recipe.scores[name][-1]) > _value(recipe.last)]
        others = sorted(others, key=lambda name: -_value(recipe.scores[name][-1]))[:1]
    hours = short_hours(recipe.hours)
    for name in (first, *others):
        curve = recipe.scores[name]
        best = max(curve, key=_value)
        yield [recipe.recipe.name, name, *_cells(curve[-1]), hours]
        if _value(best) > _value(curve[-1]) and not (brief and name != first):
            share = recipe.hours_after(best.epoch or 0)
            yield [recipe.recipe.name, f"{name}, best epoch", *_cells(best), short_hours(share)]


def _predictors(recipe: RecipeFigures) -> Iterator[list[str]]:
    """What costs nothing."""
    for name in PREDICTORS:
        yield [recipe.recipe.name, name, *_cells(recipe.predictors[name]), "0"]


def _value(figures: Figures) -> float:
    """Spearman, below all others where there is none."""
    return -2.0 if math.isnan(figures.spearman.value) else figures.spearman.value


def _cells(figures: Figures) -> list[str]:
    size = max((size for size in figures.regret if size <= 16), default=None)
    return [
        str(figures.epoch or ""),
        _number(figures.spearman),
        _interval(figures.spearman),
        _number(figures.kendall),
        _number(figures.better_of_two),
        "" if size is None else f"{figures.regret[size].value:.3g} of {figures.chance[size]:.3g} ({size})",
        "" if figures.noise is None else f"{figures.noise.share:.0%}",
        "" if figures.epoch is None or (error := _error(figures)) is None else f"{error:.2g}",
        f"{figures.spread:.3g}",
    ]


def _error(figures: Figures) -> float | None:
    return figures.standard_error if figures.noise is None else figures.noise.standard_error


def _number(of: Estimate) -> str:
    return f"{of.value:.2f}"


def _interval(of: Estimate) -> str:
    return "" if of.interval is None else f"{of.interval[0]:.2f} to {of.interval[1]:.2f}"
