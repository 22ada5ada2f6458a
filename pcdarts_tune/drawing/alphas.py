"""Architecture parameters as PNG images: heat maps of one epoch, and their course over a whole search.

Alphas are softmax weights of the O operations on each of E edges, betas those of the edges into each node (PC-DARTS, Xu et
al., ICLR 2020, equations 3 to 5). White is 1/O, where a search over O operations starts; purple is above it, pale orange
below, by the square root of the number of doublings, so that the first steps away from 1/O are visible. Lengths are inches,
type sizes points. The images are nearly square and their type is large, for MLflow's small cards.

    alphas_png({"alpha_normal": …, "alpha_reduce": …, "beta_normal": …, "beta_reduce": …}, DARTS_PRIMITIVES)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.core.genotype import Family, family_of_kinds, node_count, node_slices
from pcdarts_tune.drawing.cells import name_edges, select_edges, short_name
from pcdarts_tune.drawing.picture import INK, text_width
from pcdarts_tune.drawing.render import draw_png
from pcdarts_tune.drawing.shares import count_operations

Alphas = Mapping[str, Any]
"""`alpha_<kind>`, (E, O), and with edge normalisation `beta_<kind>`, (E,), for each kind of a family's cells: `alpha_normal`,
`alpha_reduce`, `beta_normal`, `beta_reduce` of DARTS, `alpha_cell`, `beta_cell` of NAS-Bench-201."""

COLOURS = LinearSegmentedColormap.from_list(
    "weights", ("#f6cf9c", "#fbe6cb", "#ffffff", "#8c7cb8", "#2d0b55"), N=257
)
"""Colours of softmax weights by `colour_position`; an odd number of them, so that 1/O is exactly white."""

_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#000000", "#8c510a")
_TITLE, _BAR = 0.4, 0.85  # height of the title, width of the colour scale


@draw_png
def alphas_png(
    alphas: Alphas,
    primitives: Sequence[str],
    *,
    title: str = "",
    edge_primitives: EdgePrimitives | None = None,
) -> Figure:
    """The alphas and betas of one epoch, 1200 pixels wide; frames mark what the genotype would take.

    Args:
        primitives: the O names.
        edge_primitives: those of each edge, where they differ: the others are left empty.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    family = _family_of(alphas)
    cells, names = _to_arrays([alphas], primitives, family), [short_name(name) for name in primitives]
    own = count_operations(cells[0][0].shape[1:], primitives, family, edge_primitives)
    (_, edges, operations), betas = cells[0][0].shape, cells[0][1] is not None
    slanted = 0.72 * _longest(names, 10) + 0.2
    left, right = max(0.9, slanted - 0.2), _BAR + (1.1 if betas else 0.1)
    side = max(8.0, left + right + 0.36 * operations, _TITLE + len(cells) * (0.2 * edges + slanted + 0.4))
    figure, height = _new_figure(side, side, 1200, title), (side - _TITLE) / len(cells) - slanted - 0.4
    for number, (heading, (alpha_TEO, beta_TE)) in enumerate(zip(family.kinds.values(), cells, strict=True)):
        alpha_EO, beta_E = alpha_TEO[0], None if beta_TE is None else beta_TE[0]
        weights = alpha_EO if beta_E is None else np.column_stack([alpha_EO, beta_E])
        top = _TITLE + 0.4 + number * (height + slanted + 0.4)
        axes = _add_axes(figure, left, top, side - left - right, height)
        axes.set_title(heading, loc="left", size=13, weight="bold")
        counts_EO = own[number]
        _draw_heat_map(axes, alpha_EO, counts_EO)
        axes.set_xticks(range(operations), names, size=10, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(edges), name_edges(edges, family, _in_italics), size=11)
        for (e, o), position in np.ndenumerate(colour_position(alpha_EO, counts_EO)):
            if np.isnan(position):
                continue
            ink = "#ffffff" if position > 0.78 else INK
            axes.text(o, e, _shorten(alpha_EO[e, o]), color=ink, size=9, ha="center", va="center")
        for rows in node_slices(node_count(edges, len(family.inputs)), len(family.inputs))[1:]:
            axes.axhline(rows.start - 0.5, color="#57606a", linewidth=1.2)
        for e, o in select_edges(weights, primitives, family):
            for colour, width in (("#ffffff", 3.2), ("#000000", 1.4)):
                frame = Rectangle((o - 0.47, e - 0.44), 0.94, 0.88, fill=False, color=colour, lw=width)
                axes.add_patch(frame)
        if beta_E is not None:
            axes = _add_axes(figure, side - right + 0.15, top, 0.55, height)
            axes.set(xlim=(0, 1), ylim=(edges - 0.5, -0.5))
            axes.set_title("β", loc="left", size=11)
            axes.set_axis_off()
            bars = axes.barh(range(edges), beta_E, 0.5, color="#56738f")
            axes.bar_label(bars, [_shorten(weight) for weight in beta_E], size=9, padding=3)
    _draw_colour_bar(figure, side - _BAR + 0.1, _TITLE + 0.4, height, int(np.nanmax(own)))
    return figure


@draw_png
def alpha_history_png(
    epochs: Mapping[int, Alphas],
    primitives: Sequence[str],
    *,
    title: str = "",
    edge_primitives: EdgePrimitives | None = None,
) -> Figure:
    """For every edge a heat map of its operations over the epochs, for every node its betas as lines; one row a node,
    one column a predecessor, 1500 pixels on the longer side.

    Args:
        epochs: the alphas of each epoch, by its number.
        primitives, edge_primitives: see `alphas_png`.

    Raises:
        ValueError: when the shapes do not fit each other, or there is no epoch.
    """
    numbers = sorted(epochs)
    if not numbers:
        raise ValueError("alphas must be of one epoch or more; got none")
    family = _family_of(epochs[numbers[-1]])
    cells, inputs = _to_arrays([epochs[number] for number in numbers], primitives, family), len(family.inputs)
    names = [short_name(name) for name in primitives]
    _, edges, operations = cells[0][0].shape
    own = count_operations((edges, operations), primitives, family, edge_primitives)
    nodes, labels = node_count(edges, inputs), name_edges(edges, family, _in_italics)
    span = [numbers[0], numbers[-1]] if len(numbers) > 1 else numbers
    width, height = 1.3, max(0.5, 0.115 * operations)
    left = _longest(names, 8) + 0.2
    columns = [
        left + number * (width + 0.12) + 0.3 * (number >= nodes + inputs - 1)
        for number in range(nodes + inputs + 1)
    ]
    bar = columns[nodes + inputs - (cells[0][1] is None)]
    step = 0.7 + nodes * (height + 0.34)
    figure = _new_figure(bar + _BAR, _TITLE + len(cells) * step, 1500, title)
    for number, (heading, (alpha_TEO, beta_TE)) in enumerate(zip(family.kinds.values(), cells, strict=True)):
        _write(figure, left, _TITLE + number * step + 0.15, heading, 12)
        for node, rows in enumerate(node_slices(nodes, inputs)):
            top = _TITLE + number * step + 0.5 + node * (height + 0.34)
            panels = [
                _add_axes(figure, columns[source], top, width, height) for source in range(node + inputs)
            ]
            for source, axes in enumerate(panels):
                # with betas in the colour of this predecessor's line
                colour = INK if beta_TE is None else _LINES[source % len(_LINES)]
                edge = rows.start + source
                axes.set_title(labels[edge], size=9.5, pad=3, color=colour)
                _draw_heat_map(axes, alpha_TEO[:, edge].T, own[number, edge][:, None])
                shown = [] if source else names
                axes.set_yticks(range(len(shown)), shown, size=8)
            if beta_TE is not None:
                axes = _add_axes(figure, columns[nodes + inputs - 1], top, width, height)
                axes.set_title(f"β into {node + family.first_node}", size=9.5, pad=3)
                axes.set(xlim=(-0.5, len(numbers) - 0.5), ylim=(0, 1))
                axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"], size=8)
                axes.set_prop_cycle(color=_LINES)
                axes.plot(beta_TE[:, rows], linewidth=1.4, marker="o" if len(numbers) == 1 else None)
                panels.append(axes)
            for axes in panels:
                axes.set_xticks([])
                if node == nodes - 1:
                    axes.set_xlabel(f"epoch {' to '.join(map(str, span))}", size=8)
    _draw_colour_bar(figure, bar, _TITLE + 0.5, 2 * height + 0.34, int(np.nanmax(own)))
    return figure


def colour_position(weights: Any, operations: Any) -> Any:
    """Where softmax weights over O operations stand on the colour scale: 0 for 1/O² and less, 0.5 for 1/O, 1 for 1."""
    scale = np.maximum(1.0, np.log2(operations))
    doublings = np.log2(np.maximum(np.asarray(weights) * operations, 1e-6)) / scale
    return 0.5 + 0.5 * np.sign(doublings) * np.minimum(1.0, np.abs(doublings)) ** 0.5


def _family_of(alphas: Alphas) -> Family:
    return family_of_kinds([name.removeprefix("alpha_") for name in alphas if name.startswith("alpha_")])


def _in_italics(state: str) -> str:
    return f"${state}$" if "_" in state else state


def _to_arrays(epochs: Sequence[Alphas], primitives: Sequence[str], family: Family) -> list[tuple[Any, Any]]:
    """(T, E, O) alphas and (T, E) betas, or None, of each kind of cell."""
    cells = []
    for cell in family.kinds:
        alpha_TEO = np.array([alphas[f"alpha_{cell}"] for alphas in epochs], float)
        betas = [alphas.get(f"beta_{cell}") for alphas in epochs]
        beta_TE = None if not betas or betas[-1] is None else np.array(betas, float)
        fits = alpha_TEO.ndim == 3 and alpha_TEO.shape[2] == len(primitives)
        if not fits or (beta_TE is not None and beta_TE.shape != alpha_TEO.shape[:2]):
            raise ValueError(
                f"alphas must be (epochs, edges, {len(primitives)}), of one epoch or more, and betas (epochs, edges); "
                f"got {alpha_TEO.shape} and {None if beta_TE is None else beta_TE.shape}"
            )
        cells.append((alpha_TEO, beta_TE))
    return cells


def _longest(names: Sequence[str], size: float) -> float:
    """Inches that the longest of some names takes in type of `size` points."""
    return max(text_width(name, size) for name in names) / 72


def _shorten(weight: float) -> str:
    """`0.1259` -> `.126`."""
    return f"{weight:.3f}".removeprefix("0")


def _new_figure(width: float, height: float, pixels: int, title: str) -> Figure:
    figure = Figure((width, height), dpi=pixels / max(width, height))
    _write(figure, 0.15, 0.1, title, 15)
    return figure


def _write(figure: Figure, left: float, top: float, text: str, size: float) -> None:
    """Bold text, `left` and `top` inches from the figure's upper left corner."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, text, size=size, weight="bold", va="top")


def _add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of `width` by `height` inches, `left` and `top` inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set(color="#8b949e", linewidth=0.8)
    return axes


def _draw_heat_map(axes: Axes, weights: Any, operations: Any) -> None:
    axes.set_facecolor("#d0d7de")  # of what an edge does not have
    positions = colour_position(weights, operations)
    axes.imshow(positions, cmap=COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="nearest")


def _draw_colour_bar(figure: Figure, left: float, top: float, height: float, operations: int) -> None:
    axes = _add_axes(figure, left, top, 0.17, height)
    axes.imshow(np.linspace(1, 0, 257)[:, None], cmap=COLOURS, aspect="auto", extent=(0, 1, 0, 1))
    axes.set_title("softmax(α)", loc="left", size=9)
    axes.yaxis.tick_right()
    # a quarter of the way from 1/O to the end, in doublings, is half of the way in colour
    weights = [operations ** (share - 1.0) for share in (-1, -0.25, 0, 0.25, 1)]
    axes.set_yticks(np.linspace(0, 1, 5), [f"{weight:.3g}".removeprefix("0") for weight in weights], size=9)
    axes.set_xticks([])
