"""What is wrong with the values of a space, in words for the person who wrote them: what is legal, the nearest legal name.

pydantic finds what is wrong with one field; checks of several fields add their `Mistake`s with `as_error`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.keys import field_at
from pcdarts_tune.spaces.ranges import KINDS
from pcdarts_tune.spaces.values import KeyPath, label

_NEEDS = {
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "finite_number"), "a finite number"),
    "bool_type": "true or false",
    "string_type": "text",
    "none_required": "null",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "union_tag_not_found": "a mapping with a type: float, int, categorical or conditional",
    "tuple_type": "a list",
    "string_pattern_mismatch": "letters and digits, and any of _ . - after the first",
    "string_too_long": "at most {max_length} letters",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a mapping of keys to values"),
}
"""What a value must be, by the type of pydantic's error; errors of other types keep pydantic's own words."""

_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        path: of the key that it is said of.
        about: the keys that it involves, where it is about several.
        unknown: whether the key is not legal; without it the rest can still be right.
    """

    path: KeyPath
    text: str
    about: frozenset[str] = frozenset()
    unknown: bool = False

    @property
    def key(self) -> str:
        names = (str(part) if str(part).isprintable() else repr(part) for part in self.path)
        return ".".join(name if len(name) <= 60 else name[:57] + "..." for name in names)


def as_error(mistakes: Iterable[Mistake]) -> ValidationError:
    """The mistakes as the error that a validator of a model may raise: pydantic adds it to its own."""
    details: list[InitErrorDetails] = []
    for mistake in mistakes:
        context = {"text": mistake.text, "about": mistake.about}
        error = PydanticCustomError("mistake", "{text}", context)
        details.append(InitErrorDetails(type=error, loc=mistake.path, input=None))
    return ValidationError.from_exception_data("Space", details)


def mistakes_of(error: ValidationError, data: Any, root: type[BaseModel]) -> list[Mistake]:
    """Every mistake in a validation of `data` as `root`, one for each path."""
    groups: dict[KeyPath, list[ErrorDetails]] = {}
    found: list[Mistake] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "mistake":
            found.append(Mistake(detail["loc"], detail["msg"], detail["ctx"]["about"]))
        else:
            groups.setdefault(_path_in(data, detail["loc"]), []).append(detail)
    return found + [mistake for path, details in groups.items() for mistake in _word(path, details, root)]


def unknown_key(name: str, legal: Iterable[str]) -> str:
    """What is said of a key that does not exist."""
    legal = list(legal)
    return f"unknown key{nearest(name, legal)}; legal: {', '.join(legal)}"


def _path_in(data: Any, loc: KeyPath) -> KeyPath:
    """The part of pydantic's location that is in the data: unions add names of their own."""
    path: list[str | int] = []
    for part in loc:
        listed = isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data)
        if listed or (isinstance(data, Mapping) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)


def _word(path: KeyPath, details: list[ErrorDetails], root: type[BaseModel]) -> Iterator[Mistake]:
    missing = [detail for detail in details if detail["type"] == "missing"]
    for detail in missing:
        yield Mistake(path, f"{detail['loc'][-1]!r} is missing")
    if len(missing) == len(details):
        return
    first = next(detail for detail in details if detail["type"] != "missing")
    match first["type"]:
        case "extra_forbidden":
            kinds = [KINDS[str(part)] for part in first["loc"] if part in KINDS]
            parent = field_at(root, path[:-1])[0] or (kinds[-1] if kinds else root)
            yield Mistake(path, unknown_key(str(path[-1]), parent.model_fields), unknown=True)
        case "union_tag_invalid":
            tag, legal = str(first["ctx"]["tag"]), list(KINDS)
            text = f"{tag!r} is not legal{nearest(tag, legal)}; must be one of {', '.join(legal)}"
            yield Mistake((*path, "type"), text)
        case "value_error":
            yield Mistake(path, str(first["ctx"]["error"]))
        case _:
            needs = _needs([detail for detail in details if detail not in missing], field_at(root, path)[1])
            value = first["input"]
            close = nearest(value, _expected(first)) if isinstance(value, str) else ""
            yield Mistake(path, f"{_show(value)} is not legal{close}; must be {' or '.join(needs)}")


def _needs(details: list[ErrorDetails], field: FieldInfo | None) -> list[str]:
    """What a value must be, each alternative once; with the field's bounds where none of them is said already."""
    needs = list(dict.fromkeys(map(_need, details)))
    if field is None:
        return needs
    bounds = " and ".join(
        f"{word} {_plain(getattr(rule, name))}"
        for rule in field.metadata
        for name, word in _BOUNDS.items()
        if hasattr(rule, name)
    )
    if bounds and needs[-1] in bounds:
        needs[-1] = bounds
    elif bounds and not any(need in bounds for need in needs):
        needs[-1] += f", {bounds}"
    return needs + ["null"] * (type(None) in get_args(field.annotation))


def _plain(bound: object) -> object:
    """0.0 as 0, as one would write it."""
    return label(int(bound)) if isinstance(bound, float) and bound.is_integer() else bound


def _need(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return "one of " + ", ".join(_expected(detail))
    if detail["type"] in _NEEDS:
        return _NEEDS[detail["type"]].format(**{k: _plain(v) for k, v in detail.get("ctx", {}).items()})
    return detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")


def _expected(detail: ErrorDetails) -> list[str]:
    """The legal values of a `Literal`."""
    return str(detail.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")


def _show(value: object) -> str:
    """The value as one would write it, cut short."""
    text = repr(value) if isinstance(value, (str, Mapping, list, tuple)) else label(value)
    return text if len(text) <= 60 else text[:57] + "..."
