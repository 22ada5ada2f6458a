"""A picture as SVG, written by hand: equal pictures give equal text, without dates or generated ids."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from pcdarts_tune.drawing.geometry import Point
from pcdarts_tune.drawing.picture import (
    BASELINE,
    SUBSCRIPT,
    Curve,
    Line,
    Polygon,
    Raster,
    Rectangle,
    Shape,
    Text,
    printable,
)

if TYPE_CHECKING:
    from pcdarts_tune.drawing.picture import Picture

_FONTS = "'DejaVu Sans', Verdana, Arial, Helvetica, sans-serif"


def svg(picture: Picture, background: str) -> str:
    """One self-contained <svg> element; no background where that is `none`."""
    title, description = _escape(picture.title), _escape(picture.description)
    width, height = _number(picture.width), _number(picture.height)
    size = f'width="{width}" height="{height}"'
    frame = f'{size} viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="{_FONTS}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f"<title>{title}</title>",
        f"<desc>{description}</desc>",
        *([] if background == "none" else [f'<rect {size} fill="{background}"/>']),
        *(_element(shape) for shape in picture.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _escape(text: str) -> str:
    return html.escape(printable(text))


def _element(shape: Shape) -> str:
    match shape:
        case Rectangle():
            numbers = {
                "x": shape.x,
                "y": shape.y,
                "width": shape.width,
                "height": shape.height,
                "rx": shape.radius,
            }
            place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
            return _hinted("rect", f'{place} fill="{shape.fill}"{_stroke(shape, shape.stroke)}', shape.hint)
        case Curve():
            return f'<path d="{_path(shape.points)}" fill="none"{_stroke(shape, shape.colour)}/>'
        case Line():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
            return f'<polyline points="{points}" fill="none"{_stroke(shape, shape.colour)}/>'
        case Polygon():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
            return _hinted("polygon", f'points="{points}" fill="{shape.fill}"', shape.hint)
        case Raster():
            numbers = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
            place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
            look = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
            return f'<image {place} {look} href="data:image/png;base64,{_pixels(shape)}"/>'
        case Text():
            numbers = {"x": shape.x, "y": shape.y + BASELINE * shape.size, "font-size": shape.size}
            place = " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items())
            if shape.angle:
                place += f' transform="rotate({_number(-shape.angle)} {_number(shape.x)} {_number(shape.y)})"'
            weight = ' font-weight="bold"' if shape.bold else ""
            return f'<text {place} text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>{_text(shape)}</text>'


def _hinted(tag: str, attributes: str, hint: str) -> str:
    return f"<{tag} {attributes}><title>{_escape(hint)}</title></{tag}>" if hint else f"<{tag} {attributes}/>"


def _pixels(raster: Raster) -> str:
    """A PNG of one pixel a colour, in base64."""
    from PIL import Image

    colours = b"".join(bytes.fromhex(colour[1:]) for row in raster.rows for colour in row)
    target = io.BytesIO()
    Image.frombytes("RGB", (len(raster.rows[0]), len(raster.rows)), colours).save(target, format="PNG")
    return base64.b64encode(target.getvalue()).decode()


def _stroke(shape: Rectangle | Curve | Line, colour: str) -> str:
    dash = ' stroke-dasharray="5 3"' if shape.dashed else ""
    return f' stroke="{colour}" stroke-width="{shape.line_width}"{dash}' if colour != "none" else ""


def _path(points: tuple[Point, ...]) -> str:
    text = [f"{_number(x)},{_number(y)}" for x, y in points]
    return f"M{text[0]}" + "".join(f" C{' '.join(text[i : i + 3])}" for i in range(1, len(text), 3))


def _text(shape: Text) -> str:
    if (parts := SUBSCRIPT.fullmatch(shape.text)) is None:
        return _escape(shape.text)
    (letter, index, rest), small = parts.groups(), _number(0.72 * shape.size)
    back = f'<tspan dy="{_number(-0.22 * shape.size)}">{_escape(rest)}</tspan>' if rest else ""
    return (
        f'<tspan font-style="italic">{_escape(letter)}</tspan>'
        f'<tspan font-size="{small}" dy="{_number(0.22 * shape.size)}">'
        f'<tspan font-style="italic">{_escape(index[:1])}</tspan>{_escape(index[1:].replace("-", "−"))}</tspan>{back}'
    )
