"""The plots of a report: Optuna's own (optuna.visualization), with each trial's settings where the mouse rests on it. Colours
that depend on the page's light or dark scheme are left out here; the page's script sets them.

for figure in plot_history(facts): figure.plot.to_json()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from optuna import visualization
from plotly.colors import sample_colorscale

from pcdarts_tune.reporting.facts import Facts
from pcdarts_tune.reporting.plot_study import make_size_study
from pcdarts_tune.spaces.scores import score_title

POINT, BEST, LOST = "#5b8bbf", "#d9541e", "#8b95a1"
SCALE = ["#8da2b8", "#5b8bbf", "#3fa39a", "#dba53a", "#d9541e"]
"""From the lowest to the highest value; each colour can be seen on white and on black."""
STATE_COLOURS = {
    "COMPLETE": POINT,
    "PRUNED": "#dba53a",
    "FAIL": "#d1495b",
    "RUNNING": "#3fa66a",
    "WAITING": LOST,
}
SIZES = {
    "params": "parameters of the retraining network",
    "macs": "multiply-adds per image",
    "latency": "milliseconds per image",
}
MOST_IN_CONTOUR = 300
"""Complete trials above which there is no contour plot: its grid grows with their square."""


@dataclass(frozen=True)
class Figure:
    """A plot with its title and caption; `name` is unique on the page, sizes are in pixels, and a width of None is the page's."""

    name: str
    title: str
    plot: go.Figure
    caption: str = ""
    height: int = 380
    width: int | None = None


def plot_history(facts: Facts) -> list[Figure]:
    """How the search went: optimization history, timeline, empirical distribution, accuracies at rungs."""
    found = []
    if facts.complete:
        found.append(_plot_optimization(facts))
    if any(record.state != "waiting" for record in facts.records):
        plot = visualization.plot_timeline(facts.study)
        for bars in plot.data:
            bars.update(marker_color=STATE_COLOURS[bars.name], text=_describe(facts, bars.y))
        plot.update_xaxes(title=None).update_yaxes(**_number_trials(facts))
        caption = "Each bar runs from a trial's proposal to its result."
        found.append(Figure("timeline", "Timeline", plot, caption, min(640, 150 + 9 * len(facts.trials))))
    if len(facts.complete) > 1:
        plot = visualization.plot_edf(facts.study, target_name=facts.axis)
        plot.update_layout(showlegend=False)
        caption = "The share of the complete trials whose score is at most that on the axis."
        found.append(Figure("edf", f"Empirical distribution: {score_title(facts.score)}", plot, caption, 300))
    if any(record.rungs for record in facts.records):
        plot = visualization.plot_intermediate_values(facts.study)
        plot.update_layout(xaxis_title="epoch of the evaluation", yaxis_title=facts.axis)
        caption = "Scores at the epochs where trials were compared."
        found.append(Figure("rungs", "Scores at rungs", plot, caption))
    return found


def plot_importances(facts: Facts) -> list[Figure]:
    """Optuna's importances, grey where chance alone gives as much; nothing with too few trials."""
    found = facts.importances
    if not found.shares:
        return []
    plot = visualization.plot_param_importances(
        facts.study, evaluator=found.evaluator, target_name=facts.axis
    )
    for bars in plot.data:
        bars.marker.color = [POINT if key in found.above_chance else LOST for key in bars.y]
    plot.update_layout(
        showlegend=False, yaxis_title=None, xaxis_title=f"importance for a high {score_title(facts.score)}"
    )
    return [Figure("importances", "Hyperparameter importances", plot, height=110 + 30 * len(found.shares))]


def plot_settings(facts: Facts) -> list[Figure]:
    """Accuracy over the settings: slices, parallel coordinates, a contour plot of the two most important ones."""
    trials = [trial for trial in facts.study.trials if trial.value is not None]
    keys = [key for key in facts.keys if any(key in trial.params for trial in trials)]
    if not keys:
        return []
    best = None if facts.best is None else facts.best.record.trial
    slices = visualization.plot_slice(facts.study, params=keys, target_name=facts.axis)
    for trace in slices.data:
        text = _describe(facts, trace.marker.color)
        trace.update(text=text, hovertemplate="%{x}<br>%{text}<extra></extra>")
        sizes = [12 if number == best else 7 for number in trace.marker.color]
        trace.marker.update(colorscale=SCALE, colorbar_title="trial", size=sizes, opacity=0.85)
    slices.layout.width = None
    slices.update_xaxes(exponentformat="e", nticks=4, tickangle=0)
    wide = 230 * len(keys) if len(keys) > 5 else None
    caption = "The large dot is the best trial."
    found = [
        Figure(
            "slice", f"{score_title(facts.score).capitalize()} over each setting", slices, caption, 340, wide
        )
    ]
    if len(trials) < 2:
        return found
    parallel = visualization.plot_parallel_coordinate(facts.study, params=keys, target_name=facts.axis)
    *lines, bar = parallel.data
    bar.marker.update(colorscale=SCALE, colorbar_title=facts.axis)
    for line in lines:
        line.update(line_color=sample_colorscale(SCALE, [line.y[0]])[0], opacity=0.7)
    parallel.update_layout(plot_bgcolor=None, xaxis_ticktext=[facts.axis, *sorted(keys)])
    parallel.update_annotations(font_color=None)
    caption = "Each line is a complete trial, in the colour of its score."
    wide = 150 * len(keys) if len(keys) > 7 else None
    found.append(Figure("parallel", "Parallel coordinates", parallel, caption, 420, wide))
    differ = {key for key in keys if len({trial.params.get(key) for trial in trials}) > 1}
    pair = [key for key in dict.fromkeys((*facts.importances.shares, *keys)) if key in differ][:2]
    if len(pair) == 2 and len(trials) <= MOST_IN_CONTOUR:
        contour = visualization.plot_contour(facts.study, params=pair, target_name=facts.axis)
        contour.update_xaxes(exponentformat="e").update_yaxes(exponentformat="e")
        contour.update_traces(colorscale=SCALE, selector={"type": "contour"})
        caption = "What lies between the trials is interpolated; where there are few trials it means little."
        found.append(Figure("contour", f"Contour of {pair[0]} and {pair[1]}", contour, caption, 440))
    return found


def plot_sizes(facts: Facts) -> list[Figure]:
    """Accuracy against parameters, multiply-adds and latency, with the Pareto front of each."""
    found = []
    for measure, title in SIZES.items():
        study = make_size_study(facts.records, measure)
        if not study.trials:
            continue
        numbers = [trial.user_attrs["trial"] for trial in study.trials]
        plot = visualization.plot_pareto_front(study, target_names=[title, facts.axis])
        *_, front = plot.data  # after the trials that are not on it
        for trace in plot.data:
            text = _describe(facts, [numbers[number] for number in trace.marker.color])
            marker = {"color": BEST, "size": 10} if trace is front else {"color": POINT, "size": 7}
            trace.update(text=text, hovertemplate="%{text}<extra></extra>", marker=None)
            trace.marker = marker
        points = sorted(zip(front.x, front.y, strict=True))
        line = {"shape": "hv", "color": BEST, "width": 1.5}
        x, y = zip(*points, strict=True)
        plot.add_scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")
        sizes = [trial.values[0] for trial in study.trials]
        plot.update_xaxes(type="log" if max(sizes) > 8 * min(sizes) else "linear")
        found.append(Figure(f"front-{measure}", f"{score_title(facts.score).capitalize()} and {title}", plot))
    return found


def plot_costs(facts: Facts) -> list[Figure]:
    """The hours of each trial, a plot for each unit (GPU, CPU)."""
    found = []
    for unit in sorted(facts.spent, reverse=True):
        spent = {t.record.trial: t.spent.hours for t in facts.trials if t.spent and t.spent.unit == unit}
        if len(spent) < 2:
            continue
        lost = {trial.record.trial for trial in facts.trials if trial.record.objective is None}
        best = facts.best.record.trial if facts.best else None
        x, y = list(spent), list(spent.values())
        bars = go.Bar(x=x, y=y, text=_describe(facts, x), textposition="none")
        bars.hovertemplate = f"%{{text}}<br>%{{y:.2g}} {unit}-hours<extra></extra>"
        bars.marker.color = [LOST if n in lost else BEST if n == best else POINT for n in spent]
        plot = go.Figure(bars, {"xaxis": _number_trials(facts), "yaxis": {"title": f"{unit}-hours"}})
        found.append(Figure(f"cost-{unit}", f"{unit}-hours of each trial", plot, height=260))
    return found


def _describe(facts: Facts, numbers: Sequence[int]) -> list[str]:
    return [facts.descriptions[number] for number in numbers]


def _number_trials(facts: Facts) -> dict[str, Any]:
    """An axis of trial numbers; a few get a tick each, since plotly would put ticks between them."""
    return {"title": "trial", "dtick": 1 if len(facts.trials) <= 12 else None}


def _plot_optimization(facts: Facts) -> Figure:
    plot = visualization.plot_optimization_history(facts.study, target_name=facts.axis)
    trials, so_far, *_ = plot.data
    trials.update(name="trial", text=_describe(facts, trials.x), marker={"color": POINT, "size": 8})
    so_far.update(name="best so far", line={"shape": "hv", "color": BEST}, hoverinfo="skip")
    caption = "Each dot is a complete trial. Rest the mouse on one for its settings; drag to zoom."
    if lost := [record.trial for record in facts.records if record.state in ("failed", "pruned")]:
        floor = min(trials.y) - 0.05 * (max(trials.y) - min(trials.y) or 0.1)
        plot.add_scatter(x=lost, y=[floor] * len(lost), mode="markers", name="failed or pruned")
        plot.data[-1].update(text=_describe(facts, lost), marker={"symbol": "x", "size": 7, "color": LOST})
        caption += " Crosses at the bottom are trials that failed or were pruned."
    plot.update_traces(hovertemplate="%{text}<extra></extra>", selector={"mode": "markers"})
    assert facts.best is not None, "only called with complete trials"
    best = facts.best.record
    plot.add_scatter(x=[best.trial], y=[best.objective], mode="markers+text", text=f"trial {best.trial}")
    marker = {"color": BEST, "size": 11}
    plot.data[-1].update(textposition="top center", marker=marker, name="best", hoverinfo="skip")
    plot.update_layout(legend={"orientation": "h", "y": 1.15}, xaxis=_number_trials(facts))
    return Figure("optimization", "Optimization history", plot, caption)
