"""Architecture parameters as heat maps: one epoch of a search, and the whole of it.

Alphas are shown as the softmax weights of the operations on each edge, betas as those of the edges into each node
(PC-DARTS section 3.3). White is 1/O, where a search over O operations starts; purple is above it, pale orange below.
The scale is logarithmic and the same in every picture: epochs can be played as a film.

    >>> arch_heatmap_png(e.alpha_normal, e.alpha_reduce, e.beta_normal, e.beta_reduce, DARTS_PRIMITIVES)
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from pcdarts_tune.core.genotype import node_count, node_slices
from pcdarts_tune.drawing.geometry import text_width
from pcdarts_tune.drawing.picture import INK

Alphas = Sequence[Sequence[float]]
Betas = Sequence[float]

_HEADINGS = ("Normal cell", "Reduction cell")
_COLOURS = (
    "#f6cf9c",
    "#fbe6cb",
    "#ffffff",
    "#8c7cb8",
    "#2d0b55",
)  # weak to strong; what fades should look faded
_BAR = 1.1  # inches for the colour scale
# Okabe and Ito, then their darker cousins: the lines of a node's edges
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#000000", "#8c510a")


def edge_names(edges: int) -> list[str]:
    """Names of the edges of a cell, in the order of the rows of alpha: `$c_{k-2}$ → 0`, ..., `2 → 3`.

    Raises:
        ValueError: when so many edges fit no cell.
    """
    states = _states(node_count(edges))
    return [f"{states[i]} → {node}" for node, i in _edges(node_count(edges))]


def arch_heatmap_png(
    alpha_normal: Alphas,
    alpha_reduce: Alphas,
    beta_normal: Betas | None,
    beta_reduce: Betas | None,
    primitives: Sequence[str],
    *,
    title: str | None = None,
) -> bytes:
    """One epoch: a heat map of alphas and bars of betas for either cell.

    Args:
        alpha_normal, alpha_reduce: (E, O), softmaxed over O.
        beta_normal, beta_reduce: (E,), softmaxed over the edges of each node; None without edge normalisation.
        primitives: the O names.

    Returns:
        A PNG. A frame marks what the genotype would take now.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    import numpy as np

    cells = [(np.asarray(a, float), b) for a, b in ((alpha_normal, beta_normal), (alpha_reduce, beta_reduce))]
    for alpha_EO, beta_E in cells:
        _check(alpha_EO.shape, None if beta_E is None else np.shape(beta_E), len(primitives))
    edges, operations = cells[0][0].shape
    with_betas = beta_normal is not None or beta_reduce is not None
    ratios = [0.5 * operations, 1.1] if with_betas else [0.5 * operations]
    slanted = _longest(primitives, 8) / math.sqrt(2)
    panel = sum(ratios) + max(1.2, slanted)

    def draw(figure: Any) -> None:
        grid = figure.subfigures(1, 3, width_ratios=[panel, panel, _BAR])
        for part, heading, (alpha_EO, beta_E) in zip(grid[:2], _HEADINGS, cells, strict=True):
            part.suptitle(heading, fontsize=12, fontweight="bold", color=INK)
            axes = part.subplots(1, len(ratios), squeeze=False, sharey=True, width_ratios=ratios)[0]
            image = _cell_map(axes[0], alpha_EO, beta_E, primitives)
            if with_betas:
                _bars(axes[1], beta_E)
            for axis in axes:
                for rows in node_slices(node_count(len(alpha_EO)))[1:]:
                    axis.axhline(rows.start - 0.5, color="#57606a", linewidth=1.2)
        _colour_bar(grid[2], image, operations)

    return _png(draw, 2 * panel + _BAR, 0.31 * edges + 1.2 + slanted, title)


def arch_history_png(
    alpha_normal: Sequence[Alphas],
    alpha_reduce: Sequence[Alphas],
    beta_normal: Sequence[Betas] | None,
    beta_reduce: Sequence[Betas] | None,
    primitives: Sequence[str],
    *,
    epochs: Sequence[int] | None = None,
    title: str | None = None,
) -> bytes:
    """A whole search: for every edge a heat map of its operations over the epochs, for every node its betas as lines.

    Args:
        alpha_normal, alpha_reduce: (T, E, O) for T epochs, softmaxed over O.
        beta_normal, beta_reduce: (T, E), softmaxed over the edges of each node; None without edge normalisation.
        primitives: the O names.
        epochs: their T numbers; None for 0..T-1.

    Returns:
        A PNG: one row a node, one column a predecessor, the normal cell above the reduction cell.

    Raises:
        ValueError: when the shapes do not fit each other, or there is no epoch.
    """
    import numpy as np

    cells = []
    for alpha, beta in ((alpha_normal, beta_normal), (alpha_reduce, beta_reduce)):
        alpha_TEO = np.asarray(alpha, float)
        beta_TE = None if beta is None else np.asarray(beta, float)
        if (
            alpha_TEO.ndim != 3
            or len(alpha_TEO) == 0
            or (beta_TE is not None and len(beta_TE) != len(alpha_TEO))
        ):
            raise ValueError(
                f"alphas must be (epochs, edges, operations), betas (epochs, edges); got {alpha_TEO.shape}"
            )
        _check(alpha_TEO.shape[1:], None if beta_TE is None else beta_TE.shape[1:], len(primitives))
        cells.append((alpha_TEO, beta_TE))
    numbers = list(range(len(cells[0][0]))) if epochs is None else list(epochs)
    if any(len(alpha_TEO) != len(numbers) for alpha_TEO, _ in cells):
        raise ValueError(f"{len(numbers)} epochs, but alphas of {len(cells[0][0])} and {len(cells[1][0])}")
    nodes = [node_count(alpha_TEO.shape[1]) for alpha_TEO, _ in cells]
    columns = max(nodes) + 1 + int(beta_normal is not None or beta_reduce is not None)

    across = 1.75 * columns + 0.4 + _longest(primitives, 6.5)

    def draw(figure: Any) -> None:
        cell_part, bar_part = figure.subfigures(1, 2, width_ratios=[across, _BAR])
        parts = cell_part.subfigures(2, 1, height_ratios=[n + 0.35 for n in nodes])
        for part, heading, (alpha_TEO, beta_TE) in zip(parts, _HEADINGS, cells, strict=True):
            part.suptitle(heading, fontsize=12, fontweight="bold", color=INK)
            image = _history(part, alpha_TEO, beta_TE, primitives, numbers, columns)
        _colour_bar(bar_part, image, len(primitives))

    return _png(draw, across + _BAR, 1.35 * sum(nodes) + 1.6, title)


def _cell_map(axis: Any, alpha_EO: Any, beta_E: Betas | None, primitives: Sequence[str]) -> Any:
    from matplotlib.patches import Rectangle

    image = _heat(axis, alpha_EO, len(primitives))
    for e, row in enumerate(alpha_EO.tolist()):
        for o, weight in enumerate(row):
            dark = weight * len(primitives) > 2.2
            colour = "#ffffff" if dark else INK
            axis.text(
                o, e, _short(weight), ha="center", va="center", fontsize=6.5, color=colour, in_layout=False
            )
    for e, o in _taken(alpha_EO, beta_E, primitives):
        for colour, width in (("#ffffff", 3.4), ("#000000", 1.6)):
            frame = Rectangle((o - 0.44, e - 0.41), 0.88, 0.82, fill=False, edgecolor=colour, linewidth=width)
            axis.add_patch(frame)
    axis.set_xticks(range(len(primitives)), primitives, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(alpha_EO)), edge_names(len(alpha_EO)))
    return image


def _history(
    figure: Any, alpha_TEO: Any, beta_TE: Any, primitives: Sequence[str], epochs: list[int], columns: int
) -> Any:
    nodes = node_count(alpha_TEO.shape[1])
    states, image = _states(nodes), None
    axes = figure.subplots(nodes, columns, squeeze=False)
    used = set()
    span = (epochs[0] - 0.5, epochs[-1] + 0.5)
    for edge, (node, source) in enumerate(_edges(nodes)):
        axis = axes[node][source]
        used.add((node, source))
        image = _heat(axis, alpha_TEO[:, edge].T, len(primitives), (*span, alpha_TEO.shape[2] - 0.5, -0.5))
        # in the colour of this predecessor's line among the betas
        colour = INK if beta_TE is None else _LINES[source % len(_LINES)]
        axis.set_title(f"{states[source]} → {node}", fontsize=9, color=colour, pad=3)
        axis.set_yticks(range(len(primitives)), list(primitives) if source == 0 else [], fontsize=6.5)
    for node, rows in enumerate(node_slices(nodes)):
        if beta_TE is not None:
            axis = axes[node][columns - 1]
            used.add((node, columns - 1))
            for source, edge in enumerate(range(rows.start, rows.stop)):
                marker = "." if len(epochs) == 1 else ""
                colour = _LINES[source % len(_LINES)]
                axis.plot(epochs, beta_TE[:, edge], color=colour, linewidth=1.6, marker=marker)
            axis.set_title(f"β into {node}", fontsize=9, color=INK, pad=3)
            axis.set(xlim=span, ylim=(0, 1), yticks=(0, 0.5, 1))
    for node, row in enumerate(axes):
        for column, axis in enumerate(row):
            if (node, column) not in used:
                axis.remove()
                continue
            last = node == nodes - 1
            axis.tick_params(labelsize=6.5, length=2, labelbottom=last)
            axis.xaxis.get_major_locator().set_params(integer=True, nbins=5, min_n_ticks=1)
            axis.set_xlabel("epoch" if last else "", fontsize=8)
    return image


def _states(nodes: int) -> list[str]:
    return ["$c_{k-2}$", "$c_{k-1}$", *map(str, range(nodes))]


def _edges(nodes: int) -> list[tuple[int, int]]:
    return [(node, source) for node in range(nodes) for source in range(node + 2)]


def _check(alpha: Sequence[int], beta: Sequence[int] | None, operations: int) -> None:
    if len(alpha) != 2 or alpha[1] != operations or (beta is not None and tuple(beta) != (alpha[0],)):
        raise ValueError(
            f"alphas must be (edges, {operations}) and betas (edges,); got {tuple(alpha)} and {beta}"
        )
    node_count(alpha[0])


def _taken(alpha_EO: Any, beta_E: Betas | None, primitives: Sequence[str]) -> list[tuple[int, int]]:
    """(edge, operation) of the two strongest edges of each node: derive_genotype's rule, on softmaxed values."""
    choices = [o for o, name in enumerate(primitives) if name != "none"]
    found = []
    for rows in node_slices(node_count(len(alpha_EO))) if choices else []:
        best = [(e, max(choices, key=lambda o, e=e: alpha_EO[e, o])) for e in range(rows.start, rows.stop)]  # type: ignore[misc]
        best.sort(key=lambda pair: -alpha_EO[pair] * (1.0 if beta_E is None else beta_E[pair[0]]))
        found += best[:2]
    return found


def _heat(
    axis: Any, values: Any, operations: int, extent: tuple[float, float, float, float] | None = None
) -> Any:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    reach = max(1.0, math.log2(operations))
    options = {"cmap": LinearSegmentedColormap.from_list("weight", _COLOURS), "vmin": -reach, "vmax": reach}
    ratio = np.log2(np.maximum(values * operations, 1e-6))
    return axis.imshow(ratio, aspect="auto", interpolation="nearest", extent=extent, **options)


def _bars(axis: Any, beta_E: Betas | None) -> None:
    axis.set(xlim=(0, 1.0), xticks=(0, 0.5, 1))
    axis.set_title("β", fontsize=9, color=INK)
    axis.tick_params(left=False)
    axis.spines[["top", "right"]].set_visible(False)
    if beta_E is not None:
        axis.barh(range(len(beta_E)), beta_E, height=0.62, color="#56738f")
        for e, value in enumerate(beta_E):
            axis.text(value + 0.04, e, _short(value), va="center", fontsize=6.5, color=INK)


def _colour_bar(figure: Any, image: Any, operations: int) -> None:
    reach = int(image.norm.vmax)
    bar = figure.colorbar(image, cax=figure.subplots(), ticks=range(-reach, reach + 1))
    bar.ax.set_yticklabels([f"{2.0**tick / operations:.3g}" for tick in range(-reach, reach + 1)])
    bar.set_label("softmax(α)", fontsize=9, color=INK)
    bar.outline.set_visible(False)


def _longest(names: Sequence[str], points: float) -> float:
    """Inches that the longest of some names takes."""
    return max(text_width(name, points) for name in names) / 72


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _png(draw: Any, width: float, height: float, title: str | None) -> bytes:
    """Width and height in inches, at 150 pixels each."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = io.BytesIO()
    with (
        style.context("default"),
        style.context({"font.size": 8, "axes.edgecolor": "#8b949e", "axes.linewidth": 0.8}),
    ):
        figure = Figure(figsize=(width, height + (0.3 if title else 0)), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        if title:
            figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
        figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()
