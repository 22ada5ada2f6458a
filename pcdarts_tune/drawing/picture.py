"""A picture as a list of shapes, and its two writers: SVG by hand, PNG by matplotlib. No window, no browser, no clock.

Colours are those of SVG; a picture that names CSS variables is for a page, not for a PNG.

    >>> Picture(100, 40, "Example", "A word.", [Text(50, 20, "c_{k-2}")]).svg()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcdarts_tune.drawing.geometry import Box
from pcdarts_tune.drawing.shapes import INK, Curve, Line, Polygon, Raster, Rectangle, Shape, Text, moved

__all__ = ["INK", "Curve", "Line", "Picture", "Polygon", "Raster", "Rectangle", "Shape", "Text", "moved"]


@dataclass(frozen=True)
class Picture:
    """Shapes, drawn in order on white; `title` and `description` are what a screen reader says."""

    width: float
    height: float
    title: str
    description: str
    shapes: Sequence[Shape]

    def padded(self, width: float, height: float) -> Picture:
        """The same in the middle of a larger picture."""
        dx, dy = (width - self.width) / 2, (height - self.height) / 2
        return Picture(width, height, self.title, self.description, moved(self.shapes, dx, dy))

    def overlaps(self) -> list[str]:
        """Texts that touch each other or leave the picture; slanted ones are only looked at for the latter."""
        found: list[str] = []
        level: list[Box] = []
        for text in (shape for shape in self.shapes if isinstance(shape, Text)):
            box = text.box()
            if box.x < 0 or box.y < 0 or box.x + box.width > self.width or box.y + box.height > self.height:
                found.append(f"{text.text!r} leaves the picture")
            if text.angle % 90 == 0:
                found += [f"{other.text!r} and {text.text!r}" for other in level if box.gap(other) < 0]
                level.append(box)
        return found

    def svg(self, *, background: str = "#ffffff") -> str:
        """One self-contained <svg> element, fit for a file and for the inside of an HTML page; `background` may be none."""
        from pcdarts_tune.drawing.svgwriter import svg

        return svg(self, background)

    def png(self, *, scale: float = 2.0) -> bytes:
        """The same picture in `scale` times as many pixels (fewer when it would be larger than 12000)."""
        from pcdarts_tune.drawing.pngwriter import png

        return png(self, scale)
