"""Order within the columns of a layered drawing: which one crosses the fewest wires.

A wire runs from column to column through one item in each (Sugiyama, Tagawa and Toda 1981), so wires can cross only
between columns, never on an item. Items are sifted (Matuszewski, Schönfeld and Molitor 1999) from several starts;
there is no chance in it.

    >>> fewest_crossings([[0, 1], [2, 3]], [(0, 3), (1, 2)], [1, 1])
    [[[0, 1], [3, 2]]]
"""

from __future__ import annotations

from collections.abc import Sequence

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
    return [[list(column) for column in ordered] for ordered, total in found.items() if total == least]


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
                totals = [
                    0
                ]  # at each place from the top, against the topmost; passing an item swaps one pair
                for other in others:
                    swap = sum(
                        w * (_crossings(r[other], r[item]) - _crossings(r[item], r[other])) for r, w in sides
                    )
                    totals.append(totals[-1] + swap)
                place = ordered[c].index(item)
                if min(totals) < totals[place]:
                    nearest = [
                        abs(i - place) if total == min(totals) else len(totals)
                        for i, total in enumerate(totals)
                    ]
                    place = nearest.index(min(nearest))
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
