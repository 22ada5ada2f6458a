"""Dotted keys of a space: a tree of sections, each a frozen pydantic model, whose leaves are plain values.

>>> from pcdarts_tune.spaces.space import Space
>>> lookup(Space(name="mine"), "search.learning_rate")
0.1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.fields import FieldInfo

from pcdarts_tune.spaces.values import KeyPath

Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Takes the lists of YAML and JSON where a model has tuples."""


class _Added:
    """The type of `ADDED`."""


ADDED = _Added()
"""Marks a field that records of older versions lack, `Annotated[int, ADDED]`: where it has its default it is left out of
`identity`, so that what was computed before it was there still counts as the same."""


class Section(BaseModel):
    """A part of a space. The docstring of each field is its description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def identity(section: BaseModel) -> dict[str, Any]:
    """The plain values of a section as digests take them: without fields marked ADDED that have their default."""
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if ADDED in field.metadata and value == field.default:
            del values[name]
        elif isinstance(value, BaseModel):
            values[name] = identity(value)
    return values


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, or None where it holds plain values."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def field_at(root: type[BaseModel], path: KeyPath) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The section and the field that a path leads to; None for what it does not lead to."""
    model: type[BaseModel] | None = root
    field: FieldInfo | None = None
    for part in path:
        field = model.model_fields.get(str(part)) if model is not None else None
        model = section_of(field) if field is not None else None
    return model, field


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a model that hold one value: no lists, no sections, no ranges."""
    for name, field in model.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            yield from leaves(inner, f"{prefix}{name}.")
        elif not _is_container(field.annotation):
            yield prefix + name


def _is_container(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    return origin in (tuple, dict) or any(map(_is_container, get_args(annotation)))


def lookup(space: BaseModel, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = space
    for part in key.split("."):
        value = getattr(value, part)
    return value


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"search": {"epochs": 3}}` as `{"search.epochs": 3}`."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
