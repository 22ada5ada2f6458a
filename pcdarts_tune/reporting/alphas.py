"""Plots of the architecture parameters of a search: a heat map with a slider over the epochs, and their whole course.

Alphas are softmax weights of the O operations on each of E edges, betas those of the edges into each node (PC-DARTS, Xu et
al., ICLR 2020, equations 3 to 5); a column `β` stands beside the operations. Colours show the number of doublings from an
equal share, so that the first steps away from it are visible and all epochs are on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.express as px

from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.genotype import Family, family_of_kinds, node_count, node_slices
from pcdarts_tune.drawing.cells import name_edges, select_edges, short_name
from pcdarts_tune.drawing.shares import count_operations
from pcdarts_tune.reporting.figures import Figure

COLOURS = ["#f6cf9c", "#fbe6cb", "#ffffff", "#8c7cb8", "#2d0b55"]
"""Colours from weights below an equal share to weights above it; an equal share is white."""
REACH = 3.0
"""The number of doublings at which the colours end."""


def plot_alphas(
    epochs: Mapping[int, Mapping[str, Any]],
    primitives: Sequence[str],
    edge_primitives: EdgePrimitives | None = None,
) -> list[Figure]:
    """Both plots; none for records of another version or form.

    Args:
        epochs: epoch from 0 -> for each kind of the family's cells, `alpha_<kind>` (E, O) and `beta_<kind>` (E,) or None.
        primitives: the O names.
        edge_primitives: those of each edge, where they differ: the others are left empty.
    """
    names, shown = [short_name(name) for name in primitives], sorted(epochs)
    try:
        alphas = [name.removeprefix("alpha_") for name in epochs[shown[-1]] if name.startswith("alpha_")]
        family = family_of_kinds(alphas)
        weights = np.array([[epochs[t][f"alpha_{cell}"] for t in shown] for cell in family.kinds], float)
        betas = [[epochs[t].get(f"beta_{cell}") for t in shown] for cell in family.kinds]
        shares = 1 / count_operations(weights.shape[2:], primitives, family, edge_primitives)[:, None]
        first, edges = len(family.inputs), weights.shape[2]
        inputs = [nodes.stop - nodes.start for nodes in node_slices(node_count(edges, first), first)]
        if betas[0][0] is not None:
            names.append("β")
            weights = np.concatenate([weights, np.array(betas, float)[..., None]], axis=3)
            equal = np.broadcast_to(np.repeat(1 / np.array(inputs), inputs)[:, None], (*shares.shape[:3], 1))
            shares = np.concatenate([shares, equal], axis=3)
        doublings = np.log2(np.maximum(weights / shares, 1e-6)) / REACH  # (kinds, T, E, O or O + 1)
    except (ValueError, KeyError, TypeError, IndexError):
        return []
    colours = np.round(np.sign(doublings) * np.sqrt(np.minimum(1.0, np.abs(doublings))), 3)
    numbers = [epoch + 1 for epoch in shown]
    slider = _plot_epochs(family, weights, colours, names, primitives, numbers)
    return [slider, _plot_course(family, weights, colours, names, numbers)] if len(shown) > 1 else [slider]


def _plot_epochs(
    family: Family,
    weights: Any,
    colours: Any,
    names: list[str],
    primitives: Sequence[str],
    numbers: list[int],
) -> Figure:
    edges = name_edges(weights.shape[2], family)
    plot = px.imshow(
        colours, facet_col=0, animation_frame=1, x=names, y=edges, aspect="auto", facet_col_spacing=0.1
    )
    for frame, number, weights_CEO in zip(plot.frames, numbers, weights.swapaxes(0, 1), strict=True):
        frame.name = str(number)
        for heat_map, weights_EO in zip(frame.data, weights_CEO, strict=True):
            text = [[f"{weight:.3f}" for weight in row] for row in weights_EO.tolist()]
            for e, o in np.argwhere(np.isnan(heat_map.z.astype(float))):
                text[e][o] = ""
            for e, o in select_edges(weights_EO, primitives, family):
                text[e][o] = f"<b>[{text[e][o]}]</b>"
            hover = "%{y}, %{x}: %{text}<extra></extra>"
            heat_map.update(text=text, texttemplate="%{text}", hovertemplate=hover)
            heat_map.update(xgap=1, ygap=1, textfont_size=10)
    for heat_map, last in zip(plot.data, plot.frames[-1].data, strict=True):
        heat_map.update(last)
    for slider in plot.layout.sliders:  # none with a single epoch
        slider.update(active=len(numbers) - 1, currentvalue_prefix="epoch ", y=-0.06)
        for step, number in zip(slider.steps, numbers, strict=True):
            step.update(label=str(number), args=[[str(number)], *step.args[1:]])
    for buttons in plot.layout.updatemenus:
        buttons.y = -0.06
    caption = "Brackets mark what the genotype of that epoch takes. Move the slider, or play the epochs."
    return Figure("alphas-plot", "Weights in each epoch", _name_cells(plot, family), caption, 560)


def _plot_course(family: Family, weights: Any, colours: Any, names: list[str], numbers: list[int]) -> Figure:
    """Every weight over the epochs: a band of rows, one for each of `names`, for each edge."""
    kinds, epochs, edges, operations = weights.shape
    labels = name_edges(edges, family)
    plot = px.imshow(
        colours.transpose(0, 2, 3, 1).reshape(kinds, -1, epochs),
        facet_col=0,
        x=numbers,
        aspect="auto",
        facet_col_spacing=0.1,
    )
    for heat_map, weights_TEO in zip(plot.data, weights, strict=True):
        rows = weights_TEO.reshape(epochs, -1).T.tolist()
        heat_map.text = [
            [f"{labels[at // operations]}, {names[at % operations]}: {weight:.4f}" for weight in row]
            for at, row in enumerate(rows)
        ]
        heat_map.hovertemplate = "epoch %{x}<br>%{text}<extra></extra>"
    middles = [operations * (edge + 0.5) - 0.5 for edge in range(edges)]
    plot.update_yaxes(tickvals=middles, ticktext=labels)
    plot.update_xaxes(title="epoch")
    for edge in range(1, edges):
        plot.add_hline(operations * edge - 0.5, line={"width": 1, "color": "#8b949e"})
    caption = f"Each band is an edge, with a row for each weight; from the top: {', '.join(names)}."
    return Figure("course-plot", "Weights over the epochs", _name_cells(plot, family), caption, 900)


def _name_cells(plot: Any, family: Family) -> Any:
    """Headings of the cells, and the colour scale."""
    ticks = {"÷8": -3.0, "÷2": -1.0, "equal": 0.0, "×1.2": 0.263, "×2": 1.0, "×8": 3.0}
    at = [(1 if value > 0 else -1) * (abs(value) / REACH) ** 0.5 for value in ticks.values()]
    bar = {"title": "share", "tickvals": at, "ticktext": list(ticks), "thickness": 14}
    plot.update_layout(coloraxis={"colorscale": COLOURS, "cmin": -1, "cmax": 1, "colorbar": bar}, margin_t=30)
    plot.update_yaxes(showgrid=False, showticklabels=True, matches=None, autorange="reversed")
    plot.update_xaxes(showgrid=False)
    for heading, text in zip(plot.layout.annotations, family.kinds.values(), strict=False):
        heading.text = text
    return plot
