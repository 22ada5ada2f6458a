"""Plain data -> a `Space`, or one error with a line for every mistake.

Values set on top of a space: Optuna's, PCDARTS_TUNE_SET's and --set's, each over the one before.

space = override(space, ["search.epochs=3", "search.arch_warmup_epochs=1"])     # what --set does
trial = apply(space, propose(space.tune, optuna_trial))
"""

from __future__ import annotations

import copy
import functools
import itertools
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.spaces import yaml_lines
from pcdarts_tune.spaces.checks import leaves
from pcdarts_tune.spaces.mistakes import Mistake, field_at, mistakes_of, section
from pcdarts_tune.spaces.range_kinds import label
from pcdarts_tune.spaces.space import Space

MOST_SHOWN = 40


def validate(data: Any, place: Callable[[tuple[str | int, ...]], tuple[int, str]]) -> Space:
    """A space from plain data. Raises one UserError with a line for every mistake.

    `place` gives where a path stands: a number to sort by, and the text that begins the line, such as `mine.yaml:12`.

    What is wrong is taken out and the rest validated again, so that one mistake does not hide those found later.
    """
    data = copy.deepcopy(data)
    if not isinstance(data, dict):
        raise UserError(
            f"{place(())[1]}: a search space is a mapping of keys; legal: {', '.join(Space.model_fields)}",
            hint="pcdarts-tune spaces quickstart shows what one looks like",
        )
    mistakes: list[Mistake] = []
    dropped: set[str] = set()
    while True:
        try:
            space = Space.model_validate(data)
            break
        except ValidationError as error:
            found = mistakes_of(error, data, Space)
            mistakes += [mistake for mistake in found if not _follows(mistake, dropped)]
            if not sum(_drop(data, mistake, dropped) for mistake in found):
                break
    if mistakes:
        mistakes.sort(key=lambda mistake: place(mistake.path)[0])
        lines = list(
            dict.fromkeys(f"{place(m.path)[1]}: {m.key + ': ' if m.path else ''}{m.text}" for m in mistakes)
        )
        more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
        raise UserError(
            "\n".join([*lines[:MOST_SHOWN], *more]),
            hint="pcdarts-tune spaces NAME shows a whole space that is right",
        )
    return space


def _follows(mistake: Mistake, dropped: set[str]) -> bool:
    """Whether a mistake may only come of what was taken out before."""
    return any(key == gone or key.startswith(gone + ".") for key in mistake.about for gone in dropped)


def _drop(data: dict[str, Any], mistake: Mistake, dropped: set[str]) -> bool:
    """Take out what is wrong (a list or a range as a whole); whether there was anything to take out."""
    path = [str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), mistake.path)]
    if path[:1] == ["tune"] and not mistake.unknown:
        path = path[:2]
    if not path:
        return False
    *parents, name = path
    for part in parents:
        data = data.get(part, {})
    if name not in data:
        return False
    if path == ["name"]:
        data["name"] = "unnamed"  # the one key that has no default
    else:
        del data[name]
    if not mistake.unknown:
        dropped.add(".".join(path[1:] if path[0] == "tune" else path))
    return True


VARIABLE = "PCDARTS_TUNE_SET"


def apply(space: Space, values: Mapping[str, Any]) -> Space:
    """The space with these dotted keys set, and no longer tuned; checked again. Raises UserError with every mistake."""
    return _changed(space, values, "")


def override(space: Space, settings: Iterable[str], *, origin: str = "--set") -> Space:
    """The space with `KEY=VALUE` settings, values written as in YAML: `search.epochs=3`, `tune.supernet.k=null`.

    A tuned key that is set is no longer tuned; `tune.KEY={type: …}` gives a key a range, `tune.KEY=null` takes it away.
    Raises UserError with every mistake, each begun by `origin` and the setting.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"{origin} {setting}: not KEY=VALUE", hint="For example: search.epochs=10")
        if key in values:
            raise UserError(f"{origin} {setting}: {key} is set twice", hint="Leave one of them out")
        content = text.strip().encode("utf-8", "replace") or b"null"
        values[key], _ = yaml_lines.read_yaml(content, f"{origin} {setting}", numbered=False)
    return _changed(space, values, f"{origin} ")


def assign(space: Space, values: Mapping[str, Any], given: Mapping[str, str]) -> Space:
    """The space with these dotted keys set by flags; `given` is each flag as the person wrote it.

    Raises UserError with every mistake, each begun by its flag.
    """
    return _changed(space, values, "", given)


def from_environment(space: Space, environment: Mapping[str, str] = os.environ) -> Space:
    """The space with the settings in PCDARTS_TUNE_SET, separated by blanks and quoted as in a shell."""
    try:
        settings = shlex.split(environment.get(VARIABLE, ""))
    except ValueError as error:
        raise UserError(
            f"{VARIABLE}: {error}: settings are KEY=VALUE, separated by blanks",
            hint=f"For example: {VARIABLE}='search.epochs=10 supernet.k=4'",
        ) from None
    return override(space, settings, origin=VARIABLE) if settings else space


def _changed(
    space: Space, values: Mapping[str, Any], origin: str, flags: Mapping[str, str] | None = None
) -> Space:
    data = space.model_dump()
    mistakes: list[str] = []
    for key, value in values.items():
        error = _set(data, key, value)
        mistakes += [f"{origin}{key}: {error}"] if error else []
    if mistakes:
        raise UserError(
            "\n".join(mistakes), hint=f"pcdarts-tune spaces {space.name} shows the keys and their values"
        )

    def place(path: tuple[str | int, ...]) -> tuple[int, str]:
        key = ".".join(map(str, path))
        given = next((name for name in values if key == name or key.startswith(name + ".")), None)
        if given is None:
            return (1, f"space {space.name}")
        return (0, flags[given] if flags else f"{origin}{given}={_shown(values[given])}")

    return validate(data, place)


@functools.cache
def _keys() -> tuple[str, ...]:
    return tuple(leaves(Space))


def _shown(value: Any) -> str:
    return label(value) if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _set(data: dict[str, Any], key: str, value: Any) -> str | None:
    """Set a dotted key in a space's plain data; what is wrong with the key, if it cannot be."""
    if key.startswith("tune."):
        if value is None:
            known = data["tune"].pop(key.removeprefix("tune."), None)
            return None if known else f"not tuned; tuned are {', '.join(data['tune']) or 'none'}"
        data["tune"][key.removeprefix("tune.")] = value
        return None
    if key == "tune" and value == {}:
        data["tune"] = {}
        return None
    model, field = field_at(Space, tuple(key.split(".")))
    if field is None:
        return f"unknown key{nearest(key, _keys())}; {_siblings(key)}"
    if model is not None or key == "tune":
        return f"a section, not a value; set one of its keys: {_siblings(key)}"
    *parents, name = key.split(".")
    at = data
    for parent in parents:
        at = at[parent]
    at[name] = value
    data["tune"].pop(key, None)
    return None


def _siblings(key: str) -> str:
    """The legal keys beside the one that is not: those of the deepest section that exists."""
    parts = key.split(".")
    while parts and field_at(Space, tuple(parts))[0] is None:
        parts.pop()
    model = field_at(Space, tuple(parts))[0] or Space
    prefix = "".join(f"{part}." for part in parts)
    return "legal: " + ", ".join(
        prefix + name + (".…" if section(field) else "") for name, field in model.model_fields.items()
    )
