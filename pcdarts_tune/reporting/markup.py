"""HTML from plain values: everything that goes in is escaped, so that no name of a sweep or a class can be markup.

>>> tag("code", "a < b")
'<code>a &lt; b</code>'
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from pcdarts_tune.drawing.picture import Picture


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Text as HTML; what is HTML stays."""
    return text if isinstance(text, Html) else Html(html.escape(str(text)))


def join(parts: Sequence[object], between: str = "\n") -> Html:
    """The parts, escaped, one after another."""
    return Html(between.join(escape(part) for part in parts))


def tag(name: str, *content: object, **attributes: str) -> Html:
    """An element; `class_` is the attribute class."""
    given = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{join(content, '')}</{name}>")


def figure(picture: Picture, caption: object = "", *, paper: bool = False) -> Html:
    """A picture with its caption; `paper`: it is drawn on white and keeps it."""
    drawing = Html(picture.svg(background="#ffffff" if paper else "none"))
    below = tag("figcaption", caption) if caption else Html()
    return tag("figure", drawing, below, class_="paper" if paper else "plain")


def table(
    columns: Mapping[str, Sequence[object]],
    *,
    words: Sequence[str] = (),
    long: Sequence[str] = (),
    rows: Sequence[str] | None = None,
    caption: object = "",
) -> Html:
    """A table in a box that scrolls when it is too wide.

    Args:
        columns: title -> a cell a row.
        words, long: titles of columns that are text, or text of several lines.
        rows: the class of each row.
    """

    def kind(title: str) -> str:
        return "long" if title in long else "word" if title in words else "number"

    head = join(
        [tag("th", title, class_="word" if kind(title) != "number" else "number") for title in columns], ""
    )
    lines = []
    for at, cells in enumerate(zip(*columns.values(), strict=True)):
        line = join(
            [tag("td", cell, class_=kind(title)) for title, cell in zip(columns, cells, strict=True)], ""
        )
        lines.append(tag("tr", line, class_=rows[at] if rows else ""))
    above = tag("caption", caption) if caption else Html()
    return tag(
        "div", tag("table", above, tag("thead", tag("tr", head)), tag("tbody", join(lines))), class_="scroll"
    )


def commands(*lines: str) -> Html:
    """Commands to copy."""
    return tag("pre", tag("code", "\n".join(lines)))
