"""README.md and docs/*.md as data: their fenced blocks, the commands in them, and what a page says of a block that is not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"<!-- not run: (.+) -->")
"""Stands alone on a line above a fence, a blank line between; sites and GitHub do not show it."""
FENCE = re.compile(r"^ *```(\{?[\w-]*\}?)")
# a placeholder, such as MODEL or N, or a part that is left out
PLACEHOLDER = re.compile(r"(?<![\w./-])[A-Z]+(?![\w./-])|…")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: its file, as README.md or docs/data.md.
        line: of its first line, from 1.
        language: after the fence.
        text: without the fences.
        reason: why it is not run; "" for one that is.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of this program in a page.

    Attributes:
        block: where it stands.
        words: after `pcdarts-tune`.
        target: the file that its output is redirected to, "" for none.
    """

    block: Block
    words: tuple[str, ...]
    target: str = ""

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def pages() -> list[str]:
    """README.md, the tutorial, the other pages."""
    others = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
    first = [page for page in ("README.md", "docs/tutorial.md") if (ROOT / page).exists()]
    return first + [page for page in others if page not in first]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    reason, begun, language = "", 0, ""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        fence = FENCE.match(line)
        if begun and fence:
            found.append(Block(page, begun + 1, language, "\n".join(lines[begun:at]) + "\n", reason))
            reason, begun = "", 0
        elif fence:
            begun, language = at + 1, fence[1]
        elif not begun and (mark := MARK.match(line)):
            reason = mark[1]
        elif not begun and line.strip():
            reason = ""
    return found


def shell_lines(block: Block) -> Iterator[list[str]]:
    """The simple commands of a block of shell, each as its words: lines are joined at backslashes and split at &&."""
    for line in block.text.replace("\\\n", " ").splitlines():
        line = re.sub(r'^eval "\$\((.*)\)"', r"\1", line.strip())
        words: list[str] = []
        for word in shlex.split(line, comments=True):
            if word == "&&":
                yield words
                words = []
            else:
                words.append(word)
        if words:
            yield words


def commands(block: Block) -> list[Command]:
    """The commands of this program in a block of shell."""
    found = []
    for words in shell_lines(block):
        if "pcdarts-tune" in words[:3]:
            words = words[words.index("pcdarts-tune") + 1 :]
        elif "cli.py" in words:
            words = words[words.index("cli.py") + 1 :]
        else:
            continue
        target = words[words.index(">") + 1] if ">" in words else ""
        found.append(Command(block, tuple(words[: words.index(">")] if target else words), target))
    return found


def inline_spans(page: str) -> list[str]:
    """Code in the text of a page, without fenced blocks."""
    lines, inside = [], False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", "\n".join(lines))]
