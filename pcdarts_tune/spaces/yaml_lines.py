"""YAML read as plain data, with the line of every key, and nothing constructed.

    read_yaml(b"search:\\n  epochs: 3\\n", "mine.yaml")    # {"search": {"epochs": 3}}, {("search", "epochs"): 2, ...}

Only mappings, lists and YAML 1.2 scalars, so that `1e-3` is a number and `no` is a word; anchors, aliases, tags and repeated
keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import Event

from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.values import KeyPath, label

LARGEST = 200_000  # bytes; a space has a few thousand
DEEPEST = 12  # levels of nesting; a space has five

INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def parse_scalar(text: str) -> bool | int | float | str | None:
    """The value of an unquoted YAML 1.2 scalar. Raises ValueError on a number too long to be one."""
    if text in WORDS:
        return WORDS[text]
    if len(text) > 300 and (INTEGER.fullmatch(text) or FLOAT.fullmatch(text)):
        raise ValueError("a number of more than 300 digits")
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if FLOAT.fullmatch(text):
        return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
    return text


def read_yaml(content: bytes, name: str, *, numbered: bool = True) -> tuple[Any, dict[KeyPath, int]]:
    """The data in `content`, and the line (from 1) of every key and list item; `()` is the document's own.

    Raises UserError, with `name` and (where `numbered`) the line, on anything but one plain YAML document in UTF-8.
    """
    if len(content) > LARGEST:
        raise UserError(
            f"{name}: larger than {LARGEST:,} bytes: no search space is",
            hint="pcdarts-tune spaces quickstart shows what one looks like",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name}:{line}: not UTF-8 text: save the file as UTF-8",
            hint=f"iconv -f latin1 -t utf-8 turns {name} into UTF-8, if it is Latin-1",
        ) from None
    return _Reader(text, name, numbered).document()


class _Reader:
    """One document's events, taken one by one."""

    def __init__(self, text: str, name: str, numbered: bool) -> None:
        self.text, self.name, self.numbered = text, name, numbered
        self.lines: dict[KeyPath, int] = {}
        self.at = 1
        self.events = self._parse()

    def error(self, text: str, line: int | None = None) -> UserError:
        return UserError(
            f"{self.name}:{line or self.at}: {text}" if self.numbered else f"{self.name}: {text}",
            hint="pcdarts-tune spaces quickstart shows how a space is written",
        )

    def _parse(self) -> Iterator[Event]:
        """The parser's events, its errors made ours, and everything refused that could build an object or refer."""
        try:
            for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
                if event.start_mark is not None:
                    self.at = event.start_mark.line + 1
                if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                    raise self.error("anchors (&) and aliases (*) are not read here: write the value out")
                if getattr(event, "tag", None):
                    advice = "write the plain value, in quotes if it is text"
                    raise self.error(f"tags (!) are not read here: {advice}")
                yield event
        except yaml.reader.ReaderError as error:
            where = error.position if isinstance(error.position, int) else 0
            raise self.error("not text: a control character", self.text.count("\n", 0, where) + 1) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            problem = error.problem or error.context or "not understood"
            if "'\\t'" in problem:
                problem = "a tab: YAML is indented with spaces"
            raise self.error(f"not valid YAML: {problem}", mark.line + 1 if mark else None) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets an escape such as "\\UFFFFFFFF" through to chr()
            raise self.error(f"not valid YAML: {error}") from None

    def document(self) -> tuple[Any, dict[KeyPath, int]]:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise UserError(
                f"{self.name}: empty: a search space names at least its data, such as `data: {{dataset: digits}}`",
                hint="pcdarts-tune spaces quickstart > mine.yaml to begin with",
            )
        self.lines[()] = self.at
        data = self.node(next(self.events), ())
        next(self.events)  # the document's end
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            raise self.error("a second document: one file holds one space")
        return data, self.lines

    def node(self, event: Event, path: KeyPath) -> Any:
        if len(path) > DEEPEST:
            raise self.error(f"nested more than {DEEPEST} deep")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        if any("\ud800" <= letter <= "\udfff" for letter in event.value):
            raise self.error("not text: half of a surrogate pair")
        if not event.implicit[0]:  # quoted, or a block of text
            return event.value
        try:
            return parse_scalar(event.value)
        except ValueError as error:
            raise self.error(str(error)) from None

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item = (*path, len(items))
            self.lines[item] = self.at
            items.append(self.node(event, item))
        return items

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        """Keys become text as YAML writes them (`4`, `true`): every key of a space is a name or a value's label."""
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.error("a key must be a word, not a list or a mapping")
            key, line = label(self.scalar(event)), self.at
            if key in items:
                raise self.error(f"{key!r} again, first on line {self.lines[(*path, key)]}: give it once")
            self.lines[(*path, key)] = line
            items[key] = self.node(next(self.events), (*path, key))
        return items
