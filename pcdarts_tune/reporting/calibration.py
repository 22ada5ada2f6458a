"""A calibration as one HTML page, in the form of a sweep's report.

write_calibration(result, Path("calibration.html"))
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from pcdarts_tune.calibration.agreement import Estimate
from pcdarts_tune.calibration.result import PREDICTORS, RULE, CalibrationResult, RecipeFigures, describe
from pcdarts_tune.calibration.track import tabulate
from pcdarts_tune.files import write_output
from pcdarts_tune.reporting.figures import BEST, LOST, POINT, Figure
from pcdarts_tune.reporting.page import render
from pcdarts_tune.sweeps.leaderboard import short_hours

COLOURS = (POINT, "#3fa39a", "#dba53a", "#9c6cb8", BEST, LOST)
MOST_SCATTERED = 12
"""Recipes whose cells are drawn one by one."""


def write_calibration(result: CalibrationResult, path: Path) -> None:
    """Write the page.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    rows = tabulate(result)
    cells = [
        [
            "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
            for value in row.values()
        ]
        for row in rows
    ]
    verdicts = [(each.recipe.name, describe(each)) for each in result.recipes]
    if (found := result.comparison) is not None:
        text = f"{str(found)[0].upper()}{str(found)[1:]}. Rule: {RULE}."
        verdicts.insert(0, ("Comparison", text))
    scattered = [plot_cells(each, at) for at, each in enumerate(result.recipes[:MOST_SCATTERED])]
    page = render(
        "calibration.html",
        command="calibrate",
        title=f"Calibration {result.calibration.name}",
        result=result,
        written=time.strftime("%Y-%m-%d %H:%M"),
        verdicts=verdicts,
        titles=tuple(rows[0]) if rows else (),
        rows=cells,
        plots=[
            ("recipes", "Recipes", plot_recipes(result)),
            ("epochs", "Over the epochs", plot_epochs(result)),
            ("cells", "Cells", scattered),
        ],
    )
    write_output(path, page.encode())


def plot_recipes(result: CalibrationResult) -> list[Figure]:
    """Spearman with its interval of each recipe and of what costs nothing, over the cost."""
    if not result.recipes:
        return []
    plot = go.Figure()
    names, estimates, colours = [], [], []
    for each in sorted(result.recipes, key=lambda each: each.hours):
        chosen = result.comparison is not None and each.recipe.name == result.comparison.recommended
        names.append(f"{each.recipe.name} ({short_hours(each.hours)} {each.unit}-h)")
        estimates.append(each.last.spearman)
        colours.append(BEST if chosen or len(result.recipes) == 1 else POINT)
    for name in PREDICTORS:
        names.append(f"{name} (0)")
        estimates.append(result.recipes[0].predictors[name].spearman)
        colours.append(LOST)
    plot.add_scatter(
        x=[each.value for each in estimates],
        y=names,
        mode="markers",
        marker={"color": colours, "size": 10},
        error_x=_bars(estimates),
        showlegend=False,
    )
    plot.update_xaxes(title="Spearman with the known accuracy").update_yaxes(autorange="reversed")
    plot.add_vline(x=0, line={"color": LOST, "dash": "dot"})
    caption = f"After the last epoch, 95 % intervals; the cost is that of one score of a cell. Rule: {RULE}."
    return [Figure("correlation", "Rank correlation", plot, caption, 140 + 32 * len(names))]


def _bars(estimates: Sequence[Estimate]) -> dict[str, object]:
    ends = [each.interval or (each.value, each.value) for each in estimates]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - each.value for each, (_, high) in zip(estimates, ends, strict=True)],
        "arrayminus": [each.value - low for each, (low, _) in zip(estimates, ends, strict=True)],
        "color": LOST,
    }


def plot_epochs(result: CalibrationResult) -> list[Figure]:
    """Spearman after each epoch: with one recipe of each score, with several of each recipe, over the cost too."""
    if not result.recipes or all(len(each.scores[each.objective]) < 2 for each in result.recipes):
        return []
    first = result.recipes[0]
    if len(result.recipes) == 1:
        curves = {name: (first, name) for name in first.ordered_scores}
    else:
        curves = {each.recipe.name: (each, each.objective) for each in result.recipes}
    plots = []
    for axis, title in (("epochs", "epochs"), ("hours", f"{first.unit}-hours a cell")):
        plot = go.Figure()
        for at, (label, (recipe, score)) in enumerate(curves.items()):
            curve = recipe.scores[score]
            x = [each.epoch if axis == "epochs" else recipe.hours_after(each.epoch or 0) for each in curve]
            y = [each.spearman.value for each in curve]
            colour = COLOURS[at % len(COLOURS)]
            ends = [each.spearman.interval or (each.spearman.value,) * 2 for each in curve]
            if len(curves) <= 6:
                band = [low for low, _ in ends] + [high for _, high in reversed(ends)]
                fill = {"fill": "toself", "fillcolor": colour, "opacity": 0.12, "line": {"width": 0}}
                plot.add_scatter(
                    x=x + x[::-1], y=band, mode="lines", showlegend=False, hoverinfo="skip", **fill
                )
            plot.add_scatter(x=x, y=y, mode="lines+markers", name=label, line={"color": colour})
        plot.update_layout(xaxis_title=title, yaxis_title="Spearman with the known accuracy")
        caption = "Bands are 95 % intervals over the cells." if len(curves) <= 6 else ""
        plots.append(Figure(f"over-{axis}", f"Rank correlation over {title}", plot, caption))
        if len(result.recipes) == 1:
            break
    return plots


def plot_cells(recipe: RecipeFigures, number: int) -> Figure:
    """The score of each cell against its known accuracy; with several seeds their range."""
    last = recipe.values[recipe.objective][:, :, -1]
    means = last.mean(axis=0)
    bars = {
        "type": "data",
        "symmetric": False,
        "array": last.max(0) - means,
        "arrayminus": means - last.min(0),
    }
    plot = go.Figure()
    plot.add_scatter(
        x=[cell.truth for cell in recipe.cells],
        y=means.tolist(),
        text=[f"cell {cell.name}" for cell in recipe.cells],
        mode="markers",
        marker={"color": POINT, "size": 8},
        error_y={**bars, "color": LOST} if len(last) > 1 else None,
        hovertemplate="%{text}<br>known %{x}<br>score %{y:.4f}<extra></extra>",
    )
    plot.update_layout(xaxis_title="known accuracy", yaxis_title=f"{recipe.objective} after the last epoch")
    caption = "Bars reach from the lowest to the highest seed." if len(last) > 1 else ""
    return Figure(f"cells-{number}", recipe.recipe.name, plot, caption)
