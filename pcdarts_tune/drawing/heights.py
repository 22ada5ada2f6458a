"""Heights in a layered drawing whose order is settled: wires as level as the order allows.

    min sum w_ij (y_i - y_j)^2   subject to   y_below - y_above >= separation,

solved column by column, each exactly, as an isotonic regression; then the passages of each long wire are pulled
straight within the room that their neighbours leave.

    >>> heights([[0], [1, 2]], [(0, 1, 1.0), (0, 2, 1.0)], lambda above, below: 20.0)
    [0.0, -10.0, 10.0]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from pcdarts_tune.drawing.ordering import Columns

Separation = Callable[[int, int], float]
"""Least distance between the centres of an item and of the one below it."""


def heights(columns: Columns, wires: Sequence[tuple[int, int, float]], separation: Separation) -> list[float]:
    """The y of every item 0..N-1; `wires` are (item, item in the next column, how much it wants to be level)."""
    pulls: dict[int, list[tuple[int, float]]] = {}
    for a, b, weight in wires:
        pulls.setdefault(a, []).append((b, weight))
        pulls.setdefault(b, []).append((a, weight))
    y = [0.0] * sum(map(len, columns))
    offsets: list[
        list[float]
    ] = []  # of each item from the first of its column when they stand as close as they may
    for column in columns:
        offset = [0.0]
        for above, below in itertools.pairwise(column):
            offset.append(offset[-1] + separation(above, below))
        offsets.append(offset)
        for item, value in zip(column, offset, strict=True):
            y[item] = value - offset[-1] / 2
    for sweep in range(60):
        for c in range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1):
            wanted, weights = [], []
            for item, offset_here in zip(columns[c], offsets[c], strict=True):
                pull = pulls.get(item, [(item, 0.01)])
                weights.append(sum(w for _, w in pull))
                wanted.append(sum(w * y[other] for other, w in pull) / weights[-1] - offset_here)
            for item, value, offset_here in zip(
                columns[c], isotonic(wanted, weights), offsets[c], strict=True
            ):
                y[item] = value + offset_here
    return y


def straighten(
    columns: Columns, chains: Sequence[Sequence[int]], y: list[float], separation: Separation
) -> list[float]:
    """Bend long wires as seldom as possible; only their passages (all items of a chain but the ends) move.

    Args:
        chains: the items of each long wire, from a fixed one to a fixed one.
    """
    y = list(y)
    place = {item: (column, i) for column in columns for i, item in enumerate(column)}
    bottom, top = max(y), min(y)

    def room(item: int) -> tuple[float, float]:
        column, i = place[item]
        least = y[column[i - 1]] + separation(column[i - 1], item) if i > 0 else min(top, y[item])
        most = (
            y[column[i + 1]] - separation(item, column[i + 1])
            if i + 1 < len(column)
            else max(bottom, y[item])
        )
        return least, most

    for _ in range(3):
        for chain in chains:
            passages = list(chain[1:-1])
            start = 0
            while start < len(passages):
                least, most = room(passages[start])
                stop = start + 1
                while stop < len(passages):
                    next_least, next_most = room(passages[stop])
                    if max(least, next_least) > min(most, next_most):
                        break
                    least, most, stop = max(least, next_least), min(most, next_most), stop + 1
                # aim at the end when this run reaches it, at where the wire comes from otherwise
                aim = y[chain[-1]] if stop == len(passages) else y[chain[start]]
                for item in passages[start:stop]:
                    y[item] = min(max(aim, least), most)
                start = stop
    return y


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to `values` in weighted least squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        size = 1
        while blocks and blocks[-1][0] >= value:
            before, before_weight, before_size = blocks.pop()
            value = (before * before_weight + value * weight) / (before_weight + weight)
            weight, size = weight + before_weight, size + before_size
        blocks.append((value, weight, size))
    return [value for value, _, size in blocks for _ in range(size)]
