"""A space as text for people: what it is in a few lines, and YAML that can be read again."""

from __future__ import annotations

from typing import Any

from pcdarts_tune.errors import visible
from pcdarts_tune.spaces.keys import flatten, lookup
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import label


def constants(space: Space) -> dict[str, Any]:
    """The values that no trial changes, by dotted key; lists as tuples."""
    dumped = space.model_dump(exclude={"tune"})
    return {key: value for key, value in flatten(dumped).items() if key not in space.tune}


def describe(space: Space) -> str:
    """The space in a few lines: what it is, what differs from the published CIFAR-10 setting, and what is tuned."""
    published = flatten(Space(name="published").model_dump(exclude={"tune"}))
    own = flatten(space.model_dump(exclude={"tune", "name", "description"}))
    lines = [
        visible(f"{space.name}: {space.description}".rstrip(": ")),
        "",
        "set (the rest as published for CIFAR-10):",
    ]
    lines += [f"  {key} = {_text(value)}" for key, value in own.items() if published[key] != value] or [
        "  nothing"
    ]
    lines += ["", "tuned:" if space.tune else "tuned: nothing"]
    lines += [f"  {key}: {item}; starts at {_text(lookup(space, key))}" for key, item in space.tune.items()]
    return "\n".join(lines)


def to_yaml(space: Space) -> str:
    """The whole space as YAML that can be read again, under what is worth knowing of it as comments."""
    import yaml

    comments = [f"# {line}".rstrip() for line in describe(space).splitlines()]
    values = space.model_dump(mode="json")
    readable = visible(space.description) == space.description
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110, allow_unicode=readable)
    return "\n".join([*comments, "", text.rstrip()])


def _text(value: Any) -> str:
    return f"[{', '.join(map(label, value))}]" if isinstance(value, tuple) else label(value)
