"""The colours of heat maps, and what their rows are called.

White is 1/O, where a search over O operations starts; purple is above it, pale orange below. Colours go with the square
root of the number of doublings, so that the first steps away from 1/O are seen, and are the same in every picture:
epochs can be played as a film.

    >>> colour(0.125, 8)
    '#ffffff'
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pcdarts_tune.core.genotype import node_count
from pcdarts_tune.drawing.geometry import text_width
from pcdarts_tune.drawing.picture import Raster, Rectangle, Shape, Text

HEADINGS = ("Normal cell", "Reduction cell")
BAR_WIDTH = 78.0
"""Pixels that the colour scale takes."""

# weak to strong; what fades should look faded
_STOPS = ((246, 207, 156), (251, 230, 203), (255, 255, 255), (140, 124, 184), (45, 11, 85))


def edge_names(edges: int) -> list[str]:
    """Names of the edges of a cell, in the order of the rows of alpha: `c_{k-2} → 0`, ..., `2 → 3`.

    Raises:
        ValueError: when so many edges fit no cell.
    """
    states = state_names(node_count(edges))
    return [f"{states[i]} → {node}" for node, i in edge_ends(edges)]


def state_names(nodes: int) -> list[str]:
    """Names of the states that edges come from."""
    return ["c_{k-2}", "c_{k-1}", *map(str, range(nodes))]


def edge_ends(edges: int) -> list[tuple[int, int]]:
    """(node, predecessor) of each edge."""
    return [(node, source) for node in range(node_count(edges)) for source in range(node + 2)]


def check(alpha: Sequence[int], beta: Sequence[int] | None, operations: int) -> None:
    """Raises ValueError unless alphas are (E, operations) and betas (E,), E the edges of a cell."""
    if len(alpha) != 2 or alpha[1] != operations or (beta is not None and tuple(beta) != (alpha[0],)):
        raise ValueError(
            f"alphas must be (edges, {operations}) and betas (edges,); got {tuple(alpha)} and {beta}"
        )
    node_count(alpha[0])


def place(weight: float, operations: int) -> float:
    """Where a softmaxed weight stands on the scale: 0 for 1/O² and less, 0.5 for 1/O, 1 for 1."""
    doublings = math.log2(max(weight * operations, 1e-6)) / _reach(operations)
    return 0.5 + 0.5 * math.copysign(min(1.0, abs(doublings)) ** 0.5, doublings)


def colour(weight: float, operations: int) -> str:
    """The colour of a softmaxed weight over O operations, `#rrggbb`."""
    return _colour_at(place(weight, operations))


def colour_bar(x: float, y: float, height: float, operations: int) -> list[Shape]:
    """The scale with its numbers, in BAR_WIDTH pixels to the right of x."""
    reach, steps = _reach(operations), 96
    rows = tuple((_colour_at(1 - (i + 0.5) / steps),) for i in range(steps))
    shapes: list[Shape] = [
        Raster(x + 12, y, 16, height, rows),
        Rectangle(x + 12, y, 16, height, "none", "#8b949e", line_width=0.8),
    ]
    levels: list[float] = []
    for doublings in (0.0, reach, -reach, 1.0, -reach / 2, 0.25, -0.25):
        weight = 2.0**doublings / operations
        level = y + height * (1 - place(weight, operations))
        if all(abs(level - other) >= 13 for other in levels):
            levels.append(level)
            shapes.append(Text(x + 33, level, f"{weight:.3g}".removeprefix("0") or "0", 10, "start"))
    shapes.append(Text(x + 12, y - 14, "softmax(α)", 10, "start"))
    return shapes


def longest(names: Sequence[str], size: float) -> float:
    """Pixels that the longest of some names takes."""
    return max(text_width(name, size) for name in names)


def short_weight(value: float) -> str:
    """`0.1259` -> `.126`."""
    return f"{value:.3f}".removeprefix("0")


def _reach(operations: int) -> float:
    return max(1.0, math.log2(operations))


def _colour_at(position: float) -> str:
    at = min(max(position, 0.0), 1.0) * (len(_STOPS) - 1)
    low = min(int(at), len(_STOPS) - 2)
    mixed = (round(a + (b - a) * (at - low)) for a, b in zip(_STOPS[low], _STOPS[low + 1], strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)
