"""The text of a genotype that DARTS repositories print, read without evaluating it.

    PC_DARTS = Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ...], normal_concat=range(2, 6),
                        reduce=[('sep_conv_5x5', 1), ...], reduce_concat=[2, 3, 4, 5])

    >>> format_call(parse_call("Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], ...)")[1])

The text may stand among others, as in a README or a log. Only lists, tuples, strings, integers and `range` of integers are read.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
"""In the order of the published code's named tuple."""
LONGEST = 100_000
"""Characters of a text that is read: a file of all published genotypes has fewer."""
MOST = 200
"""Entries of a list or of a range: a cell of 100 nodes."""
_CALL = re.compile(r"\bGenotype\s*\(\s*(?:\w+\s*=\s*)?[\[(]")
_BEFORE = re.compile(r"(?:(\w+)\s*=\s*)?(?:\w+\.){0,3}$")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|[()]")


def holds_call(text: str) -> bool:
    """Whether a genotype is written somewhere in the text."""
    return _CALL.search(text, 0, LONGEST) is not None


def parse_call(text: str) -> tuple[str | None, dict[str, Any]]:
    """The name that the genotype is given in the text, where there is one, and its fields as JSON has them.

    Raises:
        ValueError: with line and column; or the text has several genotypes (naming them), none, or is too long.
    """
    if len(text) > LONGEST:
        raise ValueError(
            f"a text of {len(text):,} characters; a genotype is looked for in at most {LONGEST:,}"
        )
    found = list(_CALL.finditer(text))
    names = [_name(text, match.start()) for match in found]
    if not found:
        raise ValueError("no Genotype(normal=[...], ...) in it")
    if len(found) > 1:
        listed = ", ".join(name or "one without a name" for name in names[:20])
        raise ValueError(f"the text has {len(found)} genotypes ({listed}); give the text of one")
    return names[0], _Reader(text, found[0].start()).read()


def _name(text: str, start: int) -> str | None:
    before = _BEFORE.search(text[max(0, start - 200) : start])
    return None if before is None else before[1]


class _Reader:
    """Reads the call that begins at `start` of a text."""

    def __init__(self, text: str, start: int) -> None:
        self._text, self._start = text, start

    def read(self) -> dict[str, Any]:
        cut = self._text[self._start : self._end()]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes such as '\d'
                call = ast.parse(cut, mode="eval").body
        except SyntaxError as error:
            self._refuse_at(error.lineno or 1, (error.offset or 1) - 1, f"not a genotype: {error.msg}")
        except (ValueError, RecursionError, MemoryError):
            raise ValueError("not a genotype: it is nested too deeply, or has a zero byte") from None
        if not isinstance(call, ast.Call):
            self._refuse(call, "not a genotype")
        if len(call.args) > len(FIELDS):
            self._refuse(call.args[len(FIELDS)], f"a genotype has the fields {', '.join(FIELDS)}")
        fields = {name: self._value(node) for name, node in zip(FIELDS, call.args, strict=False)}
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in fields:
                self._refuse(keyword.value, f"{keyword.arg or '**'} is given twice, or is no field")
            fields[keyword.arg] = self._value(keyword.value)
        return fields

    def _end(self) -> int:
        """Where the parenthesis that the call opens is closed; the end of the text where it is not."""
        depth = 0
        for match in _QUOTED.finditer(self._text, self._start):
            depth += {"(": 1, ")": -1}.get(match[0], 0)
            if depth == 0 and match[0] == ")":
                return match.end()
        return len(self._text)

    def _value(self, node: ast.expr, depth: int = 0) -> Any:
        match node:
            case ast.Constant(value=str() | int() as value) if not isinstance(value, bool):
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items) if depth < 2 and len(items) <= MOST:
                return [self._value(item, depth + 1) for item in items]
            case ast.Call(func=ast.Name("range"), args=ends, keywords=[]) if 1 <= len(ends) <= 3:
                return self._range(node, [self._value(end, 2) for end in ends])
            case ast.Call(func=ast.Name("list" | "tuple"), args=[ast.Call() | ast.List() as inner]):
                return self._value(inner, depth + 1)
        self._refuse(
            node, "a field is a list of ('operation', predecessor) pairs, a list of integers, or a range"
        )

    def _range(self, node: ast.expr, ends: Sequence[Any]) -> list[int]:
        try:
            numbers = range(*ends)
            if len(numbers) <= MOST:
                return list(numbers)
        except (TypeError, ValueError, OverflowError):
            pass
        self._refuse(node, f"a range of at most {MOST} integers is needed, such as range(2, 6)")

    def _refuse(self, node: ast.expr, why: str) -> NoReturn:
        self._refuse_at(node.lineno, node.col_offset, why)

    def _refuse_at(self, line: int, column: int, why: str) -> NoReturn:
        """`line` (from 1) and `column` (from 0) are those of the call."""
        above = self._text.count("\n", 0, self._start)
        first = self._start - (self._text.rfind("\n", 0, self._start) + 1) if line == 1 else 0
        raise ValueError(f"line {above + line}, column {first + column + 1}: {why}")


def format_call(fields: Mapping[str, Any]) -> str:
    """The text of a genotype's JSON form on one line, as the published code prints it."""
    parts = []
    for field in FIELDS:
        value = fields[field]
        if field.endswith("_concat"):
            whole = list(range(value[0], value[0] + len(value)))
            text = f"range({whole[0]}, {whole[-1] + 1})" if whole == list(value) else repr(list(value))
        else:
            text = repr([(operation, source) for operation, source in value])
        parts.append(f"{field}={text}")
    return f"Genotype({', '.join(parts)})"
