"""Docstrings as reStructuredText: they are plain text, with code and tables as they look."""

from __future__ import annotations

import re

SECTION = re.compile(r"\w[\w ]*:$")  # napoleon reads these


def as_written(lines: list[str]) -> None:
    """Changes a docstring's lines in place: code and tables become literal blocks, signs of reStructuredText text."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    lines[:] = [line for block in blocks if block for line in [*_block(block), ""]]


def _block(block: list[str]) -> list[str]:
    if SECTION.match(block[0]) or block[0].lstrip().startswith(("- ", ">>>", "..")):
        return [_text(line) for line in block]
    indented = [line.startswith("  ") for line in block]
    columns = sum(bool(re.search(r"\S {2,}\S", line)) for line in block)
    if any(indented) or columns >= 2:
        return ["::", "", *(f"    {line}" for line in block)]
    return [_text(line) for line in block]


def _text(line: str) -> str:
    parts = line.split("`")
    return "`".join(
        part if at % 2 else re.sub(r"([*|]|_(?!\w))", r"\\\1", part) for at, part in enumerate(parts)
    )
