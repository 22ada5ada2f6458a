"""What pydantic found wrong, in words for the person who wrote the file: where, what is legal, the nearest legal name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.range_kinds import label

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong: the path of the key it is said of, what is wrong, and the other keys it involves."""

    path: Path
    text: str
    about: frozenset[str] = frozenset()
    unknown: bool = False  # a key that is not legal: without it the rest can still be right

    @property
    def key(self) -> str:
        parts = (str(part) if str(part).isprintable() else repr(part) for part in self.path)
        return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in parts)


def as_error(mistakes: Iterable[Mistake]) -> PydanticCustomError:
    """Several mistakes in the one exception that a pydantic validator may raise."""
    found = tuple(mistakes)
    text = "; ".join(f"{mistake.key}: {mistake.text}" for mistake in found)
    return PydanticCustomError("mistakes", "{text}", {"text": text, "found": found})


def field_at(root: type[BaseModel], path: Path) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The section (a model) and the field that a path leads to; None for what it does not lead to."""
    model: type[BaseModel] | None = root
    field: FieldInfo | None = None
    for part in path:
        field = model.model_fields.get(str(part)) if model is not None else None
        model = section(field) if field is not None else None
    return model, field


def section(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, or None where it holds plain values."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def shown(value: object) -> str:
    """The value as one would write it, cut short."""
    text = repr(value) if isinstance(value, (str, Mapping, list, tuple)) else label(value)
    return text if len(text) <= 60 else text[:57] + "..."


def mistakes_of(error: ValidationError, data: Any, root: type[BaseModel]) -> list[Mistake]:
    """Every mistake in a validation of `data` as `root`, one for each path."""
    groups: dict[Path, list[ErrorDetails]] = {}
    found: list[Mistake] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "mistakes":
            found += detail["ctx"]["found"]
        else:
            groups.setdefault(_path(detail["loc"], data), []).append(detail)
    return found + [mistake for path, details in groups.items() for mistake in _worded(path, details, root)]


def _path(loc: Path, data: Any) -> Path:
    """The part of pydantic's location that is in the data: unions add names of their own."""
    path: list[str | int] = []
    for part in loc:
        listed = isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data)
        if listed or (isinstance(data, Mapping) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)


def _worded(path: Path, details: list[ErrorDetails], root: type[BaseModel]) -> Iterator[Mistake]:
    field = field_at(root, path)[1]
    for detail in [detail for detail in details if detail["type"] == "missing"]:
        yield Mistake(path, f"{detail['loc'][-1]!r} is missing")
    details = [detail for detail in details if detail["type"] != "missing"]
    if not details:
        return
    first = details[0]
    if first["type"] == "extra_forbidden":
        parent = field_at(root, path[:-1])[0]
        legal = list(parent.model_fields) if parent is not None else _range_keys(first["loc"])
        name = str(path[-1])
        yield Mistake(path, f"unknown key{nearest(name, legal)}; legal: {', '.join(legal)}", unknown=True)
        return
    if first["type"] == "union_tag_invalid":
        tag, legal = str(first["ctx"]["tag"]), _words(first)
        yield Mistake(
            (*path, "type"), f"{tag!r} is not legal{nearest(tag, legal)}; must be one of {', '.join(legal)}"
        )
        return
    if first["type"] in ("range", "value_error"):
        text = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    else:
        needs = list(dict.fromkeys(_need(detail) for detail in details))
        if field is not None and (bounds := _bounds(field)) and not any(need in bounds for need in needs):
            needs[-1] += f", {bounds}"
        if field is not None and type(None) in get_args(field.annotation):
            needs.append("null")
        close = nearest(first["input"], _words(first)) if isinstance(first["input"], str) else ""
        text = f"{shown(first['input'])} is not legal{close}; must be {' or '.join(needs)}"
    yield Mistake(path, text)


def _range_keys(loc: Path) -> list[str]:
    from pcdarts_tune.spaces.range_kinds import CategoricalRange, ConditionalRange, FloatRange, IntRange

    kinds: dict[str | int, type[BaseModel]] = {
        "float": FloatRange,
        "int": IntRange,
        "categorical": CategoricalRange,
        "conditional": ConditionalRange,
    }
    kind = next((kinds[part] for part in reversed(loc[:-1]) if part in kinds), None)
    return list(kind.model_fields) if kind else []


def _words(detail: ErrorDetails) -> list[str]:
    context = detail.get("ctx", {})
    expected = str(context.get("expected") or context.get("expected_tags") or "")
    return expected.replace("'", "").replace(" or ", ", ").split(", ")


def _need(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number"
        case "float_type" | "float_parsing" | "finite_number":
            return "a finite number"
        case "bool_type" | "bool_parsing":
            return "true or false"
        case "string_type":
            return "text"
        case "none_required":
            return "null"
        case "greater_than":
            return f"above {context['gt']}"
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than":
            return f"below {context['lt']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "literal_error":
            return "one of " + ", ".join(_words(detail))
        case "union_tag_not_found":
            return "a mapping with a type: float, int, categorical or conditional"
        case "tuple_type":
            return "a list"
        case "string_pattern_mismatch":
            return "letters and digits, and any of _ . - after the first"
        case "string_too_long":
            return f"at most {context['max_length']} letters"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "a mapping of keys to values"
        case _:
            return detail["msg"].removeprefix("Input should be ").removeprefix("Input should ")


def _bounds(field: FieldInfo) -> str:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    found = [
        f"{words[name]} {getattr(rule, name)}"
        for rule in field.metadata
        for name in words
        if hasattr(rule, name)
    ]
    return " and ".join(found)
