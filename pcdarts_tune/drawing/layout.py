"""Geometry of a drawn cell: boxes for states and operations, curves for edges, nothing on top of anything else.

States stand in columns, each as far left as its predecessors allow, and before each column of nodes a column of labels.
An edge runs level through every column that it passes, in a row of its own, and bends only between columns, so that no edge
can touch a foreign label or node, whatever the cell. Units: SVG pixels; y grows downwards.

    >>> cell = genotype.graphs()[0]
    >>> layout_edges(cell_edges(cell), cell.states, len(cell.inputs)).states[-1].text
    'c_{k}'
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcdarts_tune.core.genotype import CellGraph
from pcdarts_tune.drawing.ordering import Columns, fewest_crossings, heights, straighten
from pcdarts_tune.drawing.picture import Point, text_width

FONT_SIZE = 13.0
LABEL_HEIGHT = 24.0
NODE_SIZE = 34.0
_LABEL_PADDING, _NODE_PADDING = 9.0, 9.0
_BOX_GAP, _WIRE_GAP = 10.0, 11.0  # least free space beside a box, and between two passing edges
_PORT_GAP = 9.0
_LEAST_BEND, _MOST_BEND, _SLOPE = 34.0, 120.0, 0.38  # space between two columns, by its steepest edge
_INPUT_GAP = 22.0  # more space between the two inputs
_LEAVE_REACH = 6.0  # how far from its middle an edge may leave a state
_BORDER = 4.0


@dataclass(frozen=True)
class Edge:
    """One edge of a drawn cell, from state to state: the inputs, then the nodes, then the output."""

    operation: str | None
    """None on the edges that are concatenated into the output."""
    source: int
    target: int
    mark: str = ""
    """What a writer wants to know about this edge, such as which genotype it is from."""


@dataclass(frozen=True)
class Box:
    """A rectangle and its text; (x, y) is the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    text: str

    @property
    def centre(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Wire:
    """A drawn edge: cubic Bezier curves through 1 + 3 m points, and the box of its operation."""

    edge: Edge
    points: tuple[Point, ...]
    label: Box | None


@dataclass(frozen=True)
class CellLayout:
    """Where everything of one cell is; `states[i]` is the box of state i, first the `inputs`, last the output."""

    width: float
    height: float
    states: tuple[Box, ...]
    wires: tuple[Wire, ...]
    inputs: int


def cell_edges(cell: CellGraph, nodes: int | None = None) -> list[Edge]:
    """The edges of one cell of a genotype, in the same order whatever the order of a node's edges.

    Args:
        nodes: how many are drawn; None for those of the cell.
    """
    own = len(cell.states) - 1
    output = own if nodes is None else len(cell.inputs) + nodes
    edges = [Edge(e.operation, e.source, output if e.target == own else e.target) for e in cell.edges]
    edges += [Edge(None, state, output) for state in cell.concat]
    return sorted(edges, key=lambda e: (e.target, e.source, e.operation or ""))


def layout_edges(
    edges: Sequence[Edge],
    states: Sequence[str],
    inputs: int,
    *,
    short: Callable[[str], str] = str,
    spread: float = 1.0,
) -> CellLayout:
    """Lay out edges between states; a node may have any number of them.

    Args:
        states: names of the inputs, of the nodes, and of the output.
        inputs: how many of them are inputs.
        short: what to write for an operation's name.
        spread: factor on the space between rows.

    Raises:
        ValueError: when there is no node or a predecessor does not come before its node.
    """
    if len(states) - inputs < 2:
        raise ValueError("a cell needs at least one node to be drawn")
    for edge in edges:
        if not 0 <= edge.source < edge.target < len(states) or edge.target < inputs:
            found = f"{edge.source} -> {edge.target} of {len(states) - inputs - 1} nodes"
            raise ValueError(f"an edge must come from an earlier state: {found}")
    ordered = sorted(edges, key=lambda e: (e.target, e.source, e.operation or "", e.mark))
    return _Grid(ordered, states, inputs, short, spread).place()


@dataclass
class _Item:
    """What takes a row of a column: a state, a label, or (without text) the passage of an edge."""

    column: int
    width: float = 0.0
    height: float = 0.0
    text: str = ""


class _Grid:
    """The columns: inputs, then labels and nodes by turns, then the output."""

    def __init__(
        self,
        edges: list[Edge],
        states: Sequence[str],
        inputs: int,
        short: Callable[[str], str],
        spread: float,
    ) -> None:
        self.edges, self.inputs, self.spread = edges, inputs, spread
        output = len(states) - 1
        layer = [0] * output
        for state in range(inputs, output):
            layer[state] = 1 + max((layer[e.source] for e in edges if e.target == state), default=0)
        # an operation into the output needs a column for its label
        labelled = any(e.operation is not None and e.target == output for e in edges)
        columns = [*(2 * i for i in layer), 2 * max(layer) + (2 if labelled else 1)]
        self.items: list[_Item] = []
        for state, (name, column) in enumerate(zip(states, columns, strict=True)):
            arriving = sum(e.target == state for e in edges)
            width = NODE_SIZE + (0 if inputs <= state < output else 2 * _NODE_PADDING)
            self.items.append(_Item(column, width, max(NODE_SIZE, _PORT_GAP * (arriving - 1) + 18), name))
        self.states = len(self.items)
        self.chains: list[list[int]] = []
        for edge in edges:
            chain = [edge.source]
            for column in range(columns[edge.source] + 1, columns[edge.target]):
                self.items.append(_Item(column))
                chain.append(len(self.items) - 1)
            if edge.operation is not None:
                label = self.items[chain[-1]]
                label.text, label.height = short(edge.operation), LABEL_HEIGHT
                label.width = round(text_width(label.text, FONT_SIZE) + 2 * _LABEL_PADDING)
            self.chains.append([*chain, edge.target])
        self.columns: list[list[int]] = [[] for _ in range(columns[-1] + 1)]
        for index, item in enumerate(self.items):
            self.columns[item.column].append(index)

    def place(self) -> CellLayout:
        self.columns, self.y = self._best_order()
        self.row = {item: i for column in self.columns for i, item in enumerate(column)}
        top = min(y - item.height / 2 for y, item in zip(self.y, self.items, strict=True))
        self.y = [round(y - top + _BORDER, 1) for y in self.y]
        self.leave, self.arrive = [0.0] * len(self.chains), [0.0] * len(self.chains)
        """y of each edge's two ends."""
        for state in range(self.states):
            self._dock(self.leave, state, 0, 1, _LEAVE_REACH, 0.0)
            self._dock(self.arrive, state, -1, -2, self.items[state].height / 2 - _NODE_PADDING, _PORT_GAP)
        self.x = self._column_edges()
        boxes = [self._box(index) for index in range(len(self.items))]
        wires = tuple(self._wire(i, boxes) for i in range(len(self.edges)))
        bottom = max(y + item.height / 2 for y, item in zip(self.y, self.items, strict=True))
        states = tuple(boxes[: self.states])
        return CellLayout(self.x[-1][1] + _BORDER, round(bottom + _BORDER, 1), states, wires, self.inputs)

    def _best_order(self) -> tuple[Columns, list[float]]:
        """Of the orders with the fewest crossings the one whose wires climb least."""
        wires = [(a, b, self._weight(a, b)) for chain in self.chains for a, b in itertools.pairwise(chain)]
        pairs = zip(self.edges, self.chains, strict=True)
        long = [chain[: -1 if edge.operation else None] for edge, chain in pairs]
        # crossings just before a node are the hardest to read: arrowheads are there
        cost = [2 if c % 2 == 0 else 1 for c in range(len(self.columns))]
        best: tuple[float, Columns, list[float]] | None = None
        for columns in fewest_crossings(self.columns, [(a, b) for a, b, _ in wires], cost):
            y = straighten(columns, long, heights(columns, wires, self._separation), self._separation)
            climb = sum(abs(y[a] - y[b]) for a, b, _ in wires) + 2 * (max(y) - min(y))
            if best is None or climb < best[0] - 0.01:
                best = (climb, columns, y)
        assert best is not None
        return best[1], best[2]

    def _weight(self, a: int, b: int) -> float:
        """How much the wire from a to b wants to be level: passages most, then a label and its node."""
        passages = sum(not self.items[i].text for i in (a, b))
        return (4.0 if self.items[b].column % 2 == 0 else 1.0, 3.0, 12.0)[passages]

    def _separation(self, above: int, below: int) -> float:
        a, b = self.items[above], self.items[below]
        gap = _BOX_GAP if a.text or b.text else _WIRE_GAP
        if a.column == 0:
            gap += _INPUT_GAP
        return (a.height + b.height) / 2 + gap * self.spread

    def _dock(self, ends: list[float], state: int, end: int, beside: int, reach: float, gap: float) -> None:
        """Put the ends at a state as near to the next row of their edges as the box and the other edges allow."""
        from scipy.optimize import isotonic_regression

        mine = [i for i, chain in enumerate(self.chains) if chain[end] == state]
        mine.sort(key=lambda i: self.row[self.chains[i][beside]])
        wanted = [self.y[self.chains[i][beside]] - gap * place for place, i in enumerate(mine)]
        low, high = self.y[state] - reach, self.y[state] + reach - gap * (len(mine) - 1)
        level = isotonic_regression(wanted).x.tolist() if mine else []
        for place, (i, y) in enumerate(zip(mine, level, strict=True)):
            ends[i] = min(max(y, low), high) + gap * place

    def _rows(self, i: int) -> list[float]:
        """y of edge i at each item of its chain."""
        return [self.leave[i], *(self.y[item] for item in self.chains[i][1:-1]), self.arrive[i]]

    def _column_edges(self) -> list[tuple[float, float]]:
        """x where each column begins and ends; the space before it grows with the steepest edge there."""
        drops = [0.0] * len(self.columns)
        for i, chain in enumerate(self.chains):
            for item, (y0, y1) in zip(chain[1:], itertools.pairwise(self._rows(i)), strict=True):
                column = self.items[item].column
                drops[column] = max(drops[column], abs(y1 - y0))
        edges: list[tuple[float, float]] = []
        x = _BORDER
        for column, (items, drop) in enumerate(zip(self.columns, drops, strict=True)):
            x += round(min(_MOST_BEND, max(_LEAST_BEND, _SLOPE * drop))) if column else 0.0
            width = max(self.items[i].width for i in items)
            edges.append((x, x + width))
            x += width
        return edges

    def _box(self, index: int) -> Box:
        item = self.items[index]
        left, right = self.x[item.column]
        x = (left + right - item.width) / 2
        return Box(round(x, 1), round(self.y[index] - item.height / 2, 1), item.width, item.height, item.text)

    def _wire(self, i: int, boxes: list[Box]) -> Wire:
        chain, rows = self.chains[i], self._rows(i)
        source, target = boxes[chain[0]], boxes[chain[-1]]
        points = [(source.x + source.width, rows[0])]
        for item, (y0, y1) in zip(chain[1:], itertools.pairwise(rows), strict=True):
            column = self.items[item].column
            bend, after = self.x[column - 1][1], self.x[column][0]
            points += _level(points[-1], bend)
            points += [((bend + after) / 2, y0), ((bend + after) / 2, y1), (after, y1)]
            points += _level(points[-1], target.x if item == chain[-1] else self.x[column][1])
        rounded = tuple((round(px, 1), round(py, 1)) for px, py in points)
        label = boxes[chain[-2]] if self.edges[i].operation is not None else None
        return Wire(self.edges[i], rounded, label)


def _level(start: Point, x: float) -> list[Point]:
    """A level Bezier segment from `start` to `x`, or nothing when it is there already."""
    if abs(x - start[0]) < 0.05:
        return []
    third = (x - start[0]) / 3
    return [(start[0] + third, start[1]), (start[0] + 2 * third, start[1]), (x, start[1])]
