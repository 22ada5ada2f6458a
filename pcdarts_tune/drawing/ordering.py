"""Order and heights within the columns of a layered drawing.

A wire runs from column to column through one item in each (Sugiyama, Tagawa and Toda 1981), so wires can cross only between
columns. `fewest_crossings` sifts the items (Matuszewski, Schönfeld and Molitor 1999), without chance. `heights` solves

    min sum w_ij (y_i - y_j)^2   subject to   y_below - y_above >= separation

column by column, each exactly, as an isotonic regression.

    >>> heights([[0], [1, 2]], [(0, 1, 1.0), (0, 2, 1.0)], lambda above, below: 20.0)
    [0.0, -10.0, 10.0]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

Columns = list[list[int]]
"""Items by column, from the left; within a column from the top."""
_Adjacent = dict[int, list[int]]


def fewest_crossings(
    columns: Sequence[Sequence[int]], wires: Sequence[tuple[int, int]], cost: Sequence[int]
) -> list[Columns]:
    """Order the items.

    Args:
        columns: items by column; the order within the first column is kept.
        wires: (item, item in the next column).
        cost: of one crossing just left of each column.

    Returns:
        Every order found that costs least; at least one.
    """
    # a card tries one cell with several row distances, and the order does not depend on these
    orders = _least_orders(tuple(map(tuple, columns)), tuple(wires), tuple(cost))
    return [[list(column) for column in ordered] for ordered in orders]


@lru_cache(maxsize=64)
def _least_orders(
    columns: tuple[tuple[int, ...], ...], wires: tuple[tuple[int, int], ...], cost: tuple[int, ...]
) -> list[tuple[tuple[int, ...], ...]]:
    left: _Adjacent = {}
    right: _Adjacent = {}
    for a, b in wires:
        right.setdefault(a, []).append(b)
        left.setdefault(b, []).append(a)
    found: dict[tuple[tuple[int, ...], ...], int] = {}
    for start in _starts(columns, left, right):
        ordered = _sift(start, left, right, cost)
        found[tuple(map(tuple, ordered))] = _total_cost(ordered, left, cost)
    least = min(found.values())
    return [ordered for ordered, total in found.items() if total == least]


def _starts(columns: Sequence[Sequence[int]], left: _Adjacent, right: _Adjacent) -> list[Columns]:
    """The natural order and its reverse, each also swept by barycentres from either side."""
    starts: list[Columns] = []
    natural = [list(column) for column in columns]
    for base in (natural, [natural[0], *(column[::-1] for column in natural[1:])]):
        starts.append(base)
        for first in (0, 1):
            swept = [list(column) for column in base]
            for sweep in range(first, first + 6):
                if sweep % 2 == 0:
                    for c in range(1, len(swept)):
                        swept[c] = _by_barycentre(swept[c], swept[c - 1], left)
                else:
                    for c in range(len(swept) - 2, 0, -1):
                        swept[c] = _by_barycentre(swept[c], swept[c + 1], right)
            starts.append(swept)
    return starts


def _by_barycentre(column: list[int], beside: list[int], adjacent: _Adjacent) -> list[int]:
    ranks = _ranks(column, beside, adjacent)
    mean = {item: sum(r) / len(r) if (r := ranks[item]) else float(i) for i, item in enumerate(column)}
    return sorted(column, key=mean.__getitem__)


def _sift(columns: Columns, left: _Adjacent, right: _Adjacent, cost: Sequence[int]) -> Columns:
    """Move every item to its best place in its column until no move saves a crossing."""
    ordered = [list(column) for column in columns]
    improved = True
    while improved:
        improved = False
        for c in [*range(1, len(ordered)), *range(len(ordered) - 2, 0, -1)]:
            sides = [(_ranks(ordered[c], ordered[c - 1], left), cost[c])]
            if c + 1 < len(ordered):
                sides.append((_ranks(ordered[c], ordered[c + 1], right), cost[c + 1]))
            for item in sorted(ordered[c]):
                others = [other for other in ordered[c] if other != item]
                swaps = [
                    sum(w * (_crossings(r[other], r[item]) - _crossings(r[item], r[other])) for r, w in sides)
                    for other in others
                ]
                # at each place from the top, against the topmost; passing an item swaps one pair
                totals = list(itertools.accumulate(swaps, initial=0))
                place = ordered[c].index(item)
                if (least := min(totals)) < totals[place]:
                    best = (i for i, total in enumerate(totals) if total == least)
                    place = min(best, key=lambda i: abs(i - place))
                    ordered[c] = [*others[:place], item, *others[place:]]
                    improved = True
    return ordered


def _ranks(column: list[int], beside: list[int], adjacent: _Adjacent) -> dict[int, list[int]]:
    rank = {item: i for i, item in enumerate(beside)}
    return {item: [rank[other] for other in adjacent.get(item, ())] for item in column}


def _crossings(above: list[int], below: list[int]) -> int:
    """Crossings between the wires of an item and those of one further down."""
    return sum(a > b for a in above for b in below)


def _total_cost(columns: Columns, left: _Adjacent, cost: Sequence[int]) -> int:
    total = 0
    for c in range(1, len(columns)):
        ranks = _ranks(columns[c], columns[c - 1], left)
        pairs = ((a, b) for i, a in enumerate(columns[c]) for b in columns[c][i + 1 :])
        total += cost[c] * sum(_crossings(ranks[a], ranks[b]) for a, b in pairs)
    return total


SETTLED = 1e-6
"""Sweeps end when no item moves by more than this; drawings are rounded to 0.1."""
Separation = Callable[[int, int], float]
"""Least distance between the centres of an item and of the one below it."""


def heights(columns: Columns, wires: Sequence[tuple[int, int, float]], separation: Separation) -> list[float]:
    """The y of every item 0..N-1; `wires` are (item, item in the next column, how much it wants to be level)."""
    from scipy.optimize import isotonic_regression

    pulls: dict[int, list[tuple[int, float]]] = {}
    for a, b, weight in wires:
        pulls.setdefault(a, []).append((b, weight))
        pulls.setdefault(b, []).append((a, weight))
    y = [0.0] * sum(map(len, columns))
    # of each item from the first of its column when they stand as close as they may
    offsets: list[list[float]] = []
    for column in columns:
        gaps = [separation(above, below) for above, below in itertools.pairwise(column)]
        offset = list(itertools.accumulate(gaps, initial=0.0))
        offsets.append(offset)
        for item, value in zip(column, offset, strict=True):
            y[item] = value - offset[-1] / 2
    for sweep in range(60):
        before = list(y)
        for c in range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1):
            wanted, weights = [], []
            for item, offset_here in zip(columns[c], offsets[c], strict=True):
                pull = pulls.get(item, [(item, 0.01)])
                weights.append(sum(w for _, w in pull))
                wanted.append(sum(w * y[other] for other, w in pull) / weights[-1] - offset_here)
            if any(above > below for above, below in itertools.pairwise(wanted)):
                wanted = isotonic_regression(wanted, weights=weights).x.tolist()
            for item, value, offset_here in zip(columns[c], wanted, offsets[c], strict=True):
                y[item] = value + offset_here
        if all(abs(now - then) < SETTLED for now, then in zip(y, before, strict=True)):
            break
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
        least, most = min(top, y[item]), max(bottom, y[item])
        if i > 0:
            least = y[column[i - 1]] + separation(column[i - 1], item)
        if i + 1 < len(column):
            most = y[column[i + 1]] - separation(item, column[i + 1])
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
