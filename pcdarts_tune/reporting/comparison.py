"""Several sweeps as one HTML page: their best so far over trials and over hours, the tables, and all trials in one order.

write_comparison(compare_sweeps([open_sweep(where, "tuned"), open_sweep(where, "random")]), Path("rivals.html"))
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from pcdarts_tune.files import write_output
from pcdarts_tune.reporting.figures import BEST, LOST, POINT, Figure
from pcdarts_tune.reporting.page import render
from pcdarts_tune.spaces.scores import score_title
from pcdarts_tune.sweeps.comparison import Best, Comparison, Course
from pcdarts_tune.sweeps.leaderboard import short_hours

COLOURS = (POINT, BEST, "#3fa39a", "#dba53a", "#9c6cb8", LOST)


def write_comparison(compared: Comparison, path: Path, known: Sequence[str] = ()) -> None:
    """Write the page; `known`: columns of the benchmark.

    Raises:
        UserError: the folder does not exist or cannot be written to.
    """
    columns = compared.columns(known)
    names = [course.name for course in compared.courses]
    page = render(
        "comparison.html",
        command="report",
        title=f"Sweeps {', '.join(names)}",
        names=names,
        written=time.strftime("%Y-%m-%d %H:%M"),
        about=[(course.name, describe_course(course)) for course in compared.courses],
        notes=compared.notes,
        tables=compared.tables(),
        plots=plot_courses(compared),
        columns=columns,
        rows=list(zip(*columns.values(), strict=True)),
        score=score_title(compared.objective),
    )
    write_output(path, page.encode())


def describe_course(course: Course) -> str:
    """A sweep in a sentence."""
    space, best = course.sweep.space, Best.among(course.ended)
    tuned = f", tuned by {course.sweep.settings.sampler}" if course.sweep.keys else ""
    how = f"Method {space.search.method}{tuned}"
    several = f", {space.repeats} searches a trial" if space.repeats > 1 else ""
    spent = "" if course.whole is None else f", {short_hours(course.whole.hours)} {course.whole.unit}-hours"
    result = "none is complete" if best is None else f"best: trial {best.trial}, {best}"
    return f"{how}{several}; {len(course.ended)} of {course.sweep.target} trials ended{spent}; {result}."


def plot_courses(compared: Comparison) -> list[Figure]:
    """The best so far of each sweep, over trials and, where costs are known in one unit, over hours."""
    score = score_title(compared.objective)
    over: list[tuple[str, str]] = [("trials", "trials that have ended")]
    over += [("hours", f"{compared.unit}-hours")] if compared.unit else []
    plots = []
    for axis, title in over:
        plot = go.Figure()
        for at, course in enumerate(compared.courses):
            colour = COLOURS[at % len(COLOURS)]
            x, y, text, deviations = _curve(course, axis)
            bars = {"type": "data", "array": deviations, "color": colour, "thickness": 1}
            plot.add_scatter(
                x=x,
                y=y,
                text=text,
                name=course.name,
                mode="lines+markers",
                line={"shape": "hv", "color": colour},
                error_y=bars if any(deviations) else None,
                hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
            )
        plot.update_layout(
            xaxis_title=title, yaxis_title=f"best {score} so far", legend={"orientation": "h", "y": 1.15}
        )
        if axis == "trials" and max(len(course.ended) for course in compared.courses) <= 12:
            plot.update_xaxes(dtick=1)  # plotly would put ticks between them
        caption = "Bars are standard deviations over the searches of the best trial, where it has several."
        plots.append(Figure(f"best-{axis}", f"Best so far over {axis}", plot, caption))
    return plots


def _curve(course: Course, axis: str) -> tuple[list[float], list[float], list[str], list[float]]:
    """x, y, text and deviation after each trial from the first complete one on."""
    x, y, text, deviations = [], [], [], []
    for count in range(1, len(course.ended) + 1):
        best, spent = course.after_trials(count), course.spent[count - 1]
        if best is None or (axis == "hours" and spent is None):
            continue
        x.append(float(count) if axis == "trials" or spent is None else spent.hours)
        y.append(best.objective)
        text.append(f"{course.name}, trial {best.trial}, after {count} trials")
        deviations.append(best.std or 0.0)
    return x, y, text, deviations
