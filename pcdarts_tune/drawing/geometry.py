"""What a drawn cell is made of: boxes with text, wires that are Bezier curves, and the test that nothing touches.

Units: SVG pixels; y grows downwards.

    >>> Box(0, 0, 10, 10, "a").gap(Box(15, 0, 10, 10, "b"))
    5
"""

from __future__ import annotations

from dataclasses import dataclass

CLEARANCE = 2.0
"""Free space, in pixels, that `CellLayout.overlaps` demands."""

# advance widths of " " to "~" in DejaVu Sans, 1/1000 em: with Verdana the widest of the common sans-serif fonts
# fmt: off
_WIDTHS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636,
    636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752,
    295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390,
    838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411,
    521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)
# fmt: on

Point = tuple[float, float]


def text_width(text: str, size: float) -> float:
    """Width of `text` in a sans-serif font of `size` pixels; a full em for anything outside ASCII."""
    return (
        sum(_WIDTHS[ord(c) - 32] if " " <= c <= "~" else 838 if c == "×" else 1000 for c in text)
        * size
        / 1000
    )


@dataclass(frozen=True)
class Edge:
    """One edge of a drawn cell, from state to state: 0 and 1 are the inputs, i + 2 node i, the last the output."""

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
        return self.x + self.width / 2, self.y + self.height / 2

    def gap(self, other: Box) -> float:
        """Free space to another box; negative where they overlap."""
        across = max(other.x - self.x - self.width, self.x - other.x - other.width)
        down = max(other.y - self.y - self.height, self.y - other.y - other.height)
        return max(across, down)


@dataclass(frozen=True)
class Wire:
    """A drawn edge: cubic Bezier curves through 1 + 3 m points, and the box of its operation."""

    edge: Edge
    points: tuple[Point, ...]
    label: Box | None

    def samples(self, steps: int = 12) -> list[Point]:
        """Points on the curve, `steps` a Bezier segment."""
        found = [self.points[0]]
        for i in range(0, len(self.points) - 1, 3):
            (x0, y0), (x1, y1), (x2, y2), (x3, y3) = self.points[i : i + 4]
            for step in range(1, steps + 1):
                t = step / steps
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
                found.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
        return found


@dataclass(frozen=True)
class CellLayout:
    """Where everything of one cell is; `states[i]` is the box of state i, the last that of the output."""

    width: float
    height: float
    states: tuple[Box, ...]
    wires: tuple[Wire, ...]

    def overlaps(self) -> list[str]:
        """What touches what: boxes closer than 2 px, edges that run through a foreign label or node, parts outside."""
        owners = [(box, None) for box in self.states] + [
            (wire.label, wire) for wire in self.wires if wire.label
        ]
        found = []
        for i, (box, owner) in enumerate(owners):
            if box.x < 0 or box.y < 0 or box.x + box.width > self.width or box.y + box.height > self.height:
                found.append(f"{box.text} leaves the drawing")
            found += [
                f"{box.text} and {other.text}" for other, _ in owners[i + 1 :] if box.gap(other) < CLEARANCE
            ]
            for wire in self.wires:
                ends = (self.states[wire.edge.source], self.states[wire.edge.target])
                if wire is not owner and box not in ends and any(_inside(p, box) for p in wire.samples()):
                    found.append(f"{box.text} and the edge {wire.edge}")
        return found


def _inside(point: Point, box: Box) -> bool:
    across = box.x - CLEARANCE < point[0] < box.x + box.width + CLEARANCE
    return across and box.y - CLEARANCE < point[1] < box.y + box.height + CLEARANCE
