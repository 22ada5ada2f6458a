"""Architecture parameters of one epoch as heat maps, with what the genotype would take now in frames.

Alphas are shown as the softmax weights of the operations on each edge, betas as those of the edges into each node
(PC-DARTS section 3.3). For the colours see heatscale.py; for a whole search archhistory.py.

    >>> arch_heatmap(e.alpha_normal, e.alpha_reduce, e.beta_normal, e.beta_reduce, DARTS_PRIMITIVES).svg()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcdarts_tune.core.genotype import node_count, node_slices
from pcdarts_tune.drawing.cells import short_name
from pcdarts_tune.drawing.heatscale import (
    BAR_WIDTH,
    HEADINGS,
    check,
    colour,
    colour_bar,
    edge_names,
    longest,
    place,
    short_weight,
)
from pcdarts_tune.drawing.picture import INK, Line, Picture, Rectangle, Shape, Text

Alphas = Sequence[Sequence[float]]
Betas = Sequence[float]

_MARGIN, _HEADING, _ROW, _COLUMN = 14.0, 30.0, 22.0, 42.0
_NAMES = 58.0  # for the names of the edges
_BETA = 112.0  # for the bars of the betas


def arch_heatmap(
    alpha_normal: Alphas,
    alpha_reduce: Alphas,
    beta_normal: Betas | None,
    beta_reduce: Betas | None,
    primitives: Sequence[str],
    *,
    title: str | None = None,
    stacked: bool = False,
) -> Picture:
    """A heat map of alphas and bars of betas for either cell.

    Args:
        alpha_normal, alpha_reduce: (E, O), softmaxed over O.
        beta_normal, beta_reduce: (E,), softmaxed over the edges of each node; None without edge normalisation.
        primitives: the O names.
        stacked: one cell above the other, nearly square.

    Raises:
        ValueError: when the shapes do not fit each other.
    """
    import numpy as np

    cells = [(np.asarray(a, float), b) for a, b in ((alpha_normal, beta_normal), (alpha_reduce, beta_reduce))]
    for alpha_EO, beta_E in cells:
        check(alpha_EO.shape, None if beta_E is None else np.shape(beta_E), len(primitives))
    names = [short_name(name) for name in primitives]
    slanted = 0.72 * longest(names, 11) + 16
    with_betas = beta_normal is not None or beta_reduce is not None
    panel = _NAMES + _COLUMN * len(names) + (_BETA if with_betas else 18.0)
    left = _MARGIN + max(0.0, slanted - _NAMES - _COLUMN / 2)
    top = _MARGIN + (_HEADING if title else 0.0) + _HEADING
    down = _ROW * max(len(alpha_EO) for alpha_EO, _ in cells)
    step = (0.0, down + slanted + _HEADING + 6) if stacked else (panel, 0.0)
    shapes: list[Shape] = [Text(_MARGIN, _MARGIN + 8, title, 15, "start", bold=True)] if title else []
    for number, (heading, (alpha_EO, beta_E)) in enumerate(zip(HEADINGS, cells, strict=True)):
        x, y = left + number * step[0] + _NAMES, top + number * step[1]
        shapes.append(Text(x, y - 18, heading, 13, "start", bold=True))
        shapes += _cell(x, y, alpha_EO, beta_E, primitives, names)
    shapes += colour_bar(left + panel + step[0], top, down, len(names))
    width = left + panel + step[0] + BAR_WIDTH + _MARGIN
    height = top + down + step[1] + slanted + _MARGIN
    words = "Softmaxed alphas of each edge, and betas, of the normal and the reduction cell."
    return Picture(width, height, title or "Alphas and betas", words, shapes)


def arch_heatmap_png(*args: Any, **options: Any) -> bytes:
    """`arch_heatmap` as a PNG."""
    return arch_heatmap(*args, **options).png(scale=1.5)


def _cell(
    x: float, y: float, alpha_EO: Any, beta_E: Betas | None, primitives: Sequence[str], names: Sequence[str]
) -> list[Shape]:
    shapes: list[Shape] = []
    operations, edges = len(names), edge_names(len(alpha_EO))
    for e, row in enumerate(alpha_EO.tolist()):
        middle = y + _ROW * (e + 0.5)
        shapes.append(Text(x - 6, middle, edges[e], 11, "end"))
        for o, weight in enumerate(row):
            ink = "#ffffff" if place(weight, operations) > 0.78 else INK
            shapes.append(Rectangle(x + _COLUMN * o, y + _ROW * e, _COLUMN, _ROW, colour(weight, operations)))
            shapes.append(Text(x + _COLUMN * (o + 0.5), middle, short_weight(weight), 9.5, colour=ink))
        if beta_E is not None:
            bar = x + _COLUMN * operations + 14
            shapes.append(Rectangle(bar, middle - 6, 56 * float(beta_E[e]), 12, "#56738f"))
            shapes.append(
                Text(bar + 56 * float(beta_E[e]) + 4, middle, short_weight(beta_E[e]), 9.5, "start")
            )
    right, bottom = x + _COLUMN * operations, y + _ROW * len(alpha_EO)
    shapes.append(Rectangle(x, y, right - x, bottom - y, "none", "#8b949e", line_width=0.8))
    for rows in node_slices(node_count(len(alpha_EO)))[1:]:
        level = y + _ROW * rows.start
        shapes.append(Line(((x, level), (right, level)), "#57606a", 1.2))
    for e, o in _taken(alpha_EO, beta_E, primitives):
        frame = (x + _COLUMN * o + 2.5, y + _ROW * e + 2.5, _COLUMN - 5, _ROW - 5)
        shapes.append(Rectangle(*frame, "none", "#ffffff", line_width=3.2))
        shapes.append(Rectangle(*frame, "none", "#000000", line_width=1.4))
    shapes += [
        Text(x + _COLUMN * (o + 0.5), bottom + 9, name, 11, "end", angle=45) for o, name in enumerate(names)
    ]
    if beta_E is not None:
        shapes.append(Text(right + 14, bottom + 12, "β", 11, "start"))
    return shapes


def _taken(alpha_EO: Any, beta_E: Betas | None, primitives: Sequence[str]) -> list[tuple[int, int]]:
    """(edge, operation) of the two strongest edges of each node: derive_genotype's rule, on softmaxed values."""
    choices = [o for o, name in enumerate(primitives) if name != "none"]
    found = []
    for rows in node_slices(node_count(len(alpha_EO))) if choices else []:
        best = [(e, max(choices, key=lambda o, e=e: alpha_EO[e, o])) for e in range(rows.start, rows.stop)]  # type: ignore[misc]
        best.sort(key=lambda pair: -alpha_EO[pair] * (1.0 if beta_E is None else beta_E[pair[0]]))
        found += best[:2]
    return found
