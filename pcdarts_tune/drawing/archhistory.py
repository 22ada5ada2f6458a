"""Architecture parameters over a whole search: for every edge a heat map of its operations over the epochs, for every
node its betas as lines. Colours as in heatscale.py.

    >>> arch_history(alpha_normal, alpha_reduce, None, None, DARTS_PRIMITIVES, epochs=range(1, 51)).svg()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcdarts_tune.core.genotype import node_count, node_slices
from pcdarts_tune.drawing.cells import short_name
from pcdarts_tune.drawing.heatmap import Alphas, Betas
from pcdarts_tune.drawing.heatscale import (
    BAR_WIDTH,
    HEADINGS,
    check,
    colour,
    colour_bar,
    edge_ends,
    longest,
    state_names,
)
from pcdarts_tune.drawing.picture import INK, Line, Picture, Raster, Rectangle, Shape, Text

# Okabe and Ito, then their darker cousins: the lines of a node's edges
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#000000", "#8c510a")
_MARGIN, _HEADING, _TITLE, _GAP = 14.0, 32.0, 16.0, 12.0
_PANEL, _ROW = 124.0, 11.0  # width of a heat map, height of one operation
_TICKS, _BETA_NAMES = 34.0, 26.0


def arch_history(
    alpha_normal: Sequence[Alphas],
    alpha_reduce: Sequence[Alphas],
    beta_normal: Sequence[Betas] | None,
    beta_reduce: Sequence[Betas] | None,
    primitives: Sequence[str],
    *,
    epochs: Sequence[int] | None = None,
    title: str | None = None,
) -> Picture:
    """One row a node, one column a predecessor, the normal cell above the reduction cell.

    Args:
        alpha_normal, alpha_reduce: (T, E, O) for T epochs, softmaxed over O.
        beta_normal, beta_reduce: (T, E), softmaxed over the edges of each node; None without edge normalisation.
        primitives: the O names.
        epochs: their T numbers; None for 0..T-1.

    Raises:
        ValueError: when the shapes do not fit each other, or there is no epoch.
    """
    cells = [_arrays(alpha_normal, beta_normal, primitives), _arrays(alpha_reduce, beta_reduce, primitives)]
    numbers = list(range(len(cells[0][0]))) if epochs is None else list(epochs)
    if any(len(alpha_TEO) != len(numbers) for alpha_TEO, _ in cells):
        raise ValueError(f"{len(numbers)} epochs, but alphas of {len(cells[0][0])} and {len(cells[1][0])}")
    names = [short_name(name) for name in primitives]
    left = _MARGIN + longest(names, 9.5) + 8
    columns = max(node_count(alpha_TEO.shape[1]) for alpha_TEO, _ in cells) + 1
    betas = left + columns * (_PANEL + _GAP) + _BETA_NAMES
    with_betas = any(beta_TE is not None for _, beta_TE in cells)
    bar = betas + _PANEL + _GAP if with_betas else left + columns * (_PANEL + _GAP)
    y = _MARGIN + (_HEADING if title else 0.0)
    shapes: list[Shape] = [Text(_MARGIN, _MARGIN + 8, title, 15, "start", bold=True)] if title else []
    for heading, (alpha_TEO, beta_TE) in zip(HEADINGS, cells, strict=True):
        shapes.append(Text(left, y + 8, heading, 13, "start", bold=True))
        y += _HEADING
        part, y = _cell(left, y, betas, alpha_TEO, beta_TE, names, numbers)
        shapes += part
    shapes += colour_bar(bar, _MARGIN + _HEADING + (_HEADING if title else 0.0), 200, len(names))
    words = "Softmaxed alphas of each edge over the epochs, and betas as lines, of both cells."
    return Picture(
        bar + BAR_WIDTH + _MARGIN, y + _MARGIN, title or "Alphas and betas over the epochs", words, shapes
    )


def arch_history_png(*args: Any, **options: Any) -> bytes:
    """`arch_history` as a PNG."""
    return arch_history(*args, **options).png(scale=1.5)


def _arrays(alpha: Any, beta: Any, primitives: Sequence[str]) -> tuple[Any, Any]:
    import numpy as np

    alpha_TEO, beta_TE = np.asarray(alpha, float), None if beta is None else np.asarray(beta, float)
    if alpha_TEO.ndim != 3 or len(alpha_TEO) == 0 or (beta_TE is not None and len(beta_TE) != len(alpha_TEO)):
        raise ValueError(
            f"alphas must be (epochs, edges, operations), betas (epochs, edges); got {alpha_TEO.shape}"
        )
    check(alpha_TEO.shape[1:], None if beta_TE is None else beta_TE.shape[1:], len(primitives))
    return alpha_TEO, beta_TE


def _cell(
    left: float, y: float, betas: float, alpha_TEO: Any, beta_TE: Any, names: Sequence[str], epochs: list[int]
) -> tuple[list[Shape], float]:
    """The shapes of one cell, and where the next one may begin."""
    nodes, height = node_count(alpha_TEO.shape[1]), _ROW * len(names)
    states, step = state_names(nodes), height + _TITLE + _GAP
    shapes: list[Shape] = []
    for edge, (node, source) in enumerate(edge_ends(alpha_TEO.shape[1])):
        x, top = left + source * (_PANEL + _GAP), y + node * step + _TITLE
        # in the colour of this predecessor's line among the betas
        ink = INK if beta_TE is None else _LINES[source % len(_LINES)]
        shapes.append(Text(x + _PANEL / 2, top - 8, f"{states[source]} → {node}", 10.5, colour=ink))
        weights = alpha_TEO[:, edge].T.tolist()
        colours = tuple(tuple(colour(weight, len(names)) for weight in row) for row in weights)
        shapes.append(Raster(x, top, _PANEL, height, colours))
        shapes.append(Rectangle(x, top, _PANEL, height, "none", "#8b949e", line_width=0.8))
        if source == 0:
            shapes += [Text(x - 5, top + _ROW * (o + 0.5), name, 9.5, "end") for o, name in enumerate(names)]
        if node == nodes - 1:
            shapes += _epochs(x, top + height, epochs)
    for node, rows in enumerate(node_slices(nodes) if beta_TE is not None else []):
        top = y + node * step + _TITLE
        shapes.append(Text(betas + _PANEL / 2, top - 8, f"β into {node}", 10.5))
        shapes.append(Rectangle(betas, top, _PANEL, height, "#ffffff", "#8b949e", line_width=0.8))
        for level in (0, 0.5, 1) if height >= 40 else (0, 1):
            at = top + height * (1 - level)
            inside = min(max(at, top + 5), top + height - 5)
            shapes.append(Text(betas - 5, inside, f"{level:g}", 9.5, "end"))
        for source, edge in enumerate(range(rows.start, rows.stop)):
            paint = _LINES[source % len(_LINES)]
            levels = [top + height * (1 - value) for value in beta_TE[:, edge].tolist()]
            across = [betas + _PANEL * (t + 0.5) / len(levels) for t in range(len(levels))]
            shapes.append(Line(tuple(zip(across, levels, strict=True)), paint, 1.7))
            if len(levels) == 1:
                shapes.append(Rectangle(across[0] - 2.5, levels[0] - 2.5, 5, 5, paint, radius=2.5))
        if node == nodes - 1:
            shapes += _epochs(betas, top + height, epochs)
    return shapes, y + nodes * step + _TICKS


def _epochs(x: float, y: float, epochs: list[int]) -> list[Shape]:
    """The first and the last epoch below a panel."""
    first: list[Shape] = [Text(x, y + 9, f"epoch {epochs[0]}", 9.5, "start")]
    return first if len(epochs) == 1 else [*first, Text(x + _PANEL, y + 9, f"{epochs[-1]}", 9.5, "end")]
