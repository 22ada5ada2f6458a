"""Plain values -> a `Space`: settings on top of a file's values, and one validation that says where each mistake was written.

space = override(space, ["search.epochs=3", "search.arch_warmup_epochs=1"])
"""

from __future__ import annotations

import copy
import functools
import itertools
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import ValidationError

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.spaces.keys import field_at, leaves, section_of
from pcdarts_tune.spaces.mistakes import Mistake, mistakes_of
from pcdarts_tune.spaces.recipes import with_cutout
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import KeyPath, Setting, label
from pcdarts_tune.spaces.yaml_lines import read_yaml

VARIABLE = "PCDARTS_TUNE_SET"
"""The environment variable that holds settings."""
MOST_SHOWN = 40
"""An error lists so many mistakes at most."""


def parse_settings(texts: Iterable[str], origin: str = "--set") -> list[Setting]:
    """`KEY=VALUE` settings, values written as in YAML: `search.epochs=3`, `tune.supernet.k=null`. Raises
    UserError: for what is not KEY=VALUE or no YAML, and for a key that is set twice."""
    settings: dict[str, Setting] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"{origin} {text}: not KEY=VALUE", hint="For example: search.epochs=10")
        if key in settings:
            raise UserError(f"{origin} {text}: {key} is set twice", hint="Leave one of them out")
        content = value.strip().encode("utf-8", "replace") or b"null"
        data, _ = read_yaml(content, f"{origin} {text}", numbered=False)
        settings[key] = Setting(key, data, f"{origin} {text}")
    return list(settings.values())


def environment_settings(environment: Mapping[str, str] = os.environ) -> list[Setting]:
    """The settings in PCDARTS_TUNE_SET, separated by blanks and quoted as in a shell. Raises as `parse_settings`."""
    try:
        texts = shlex.split(environment.get(VARIABLE, ""))
    except ValueError as error:
        raise UserError(
            f"{VARIABLE}: {error}: settings are KEY=VALUE, separated by blanks",
            hint=f"For example: {VARIABLE}='search.epochs=10 supernet.k=4'",
        ) from None
    return parse_settings(texts, VARIABLE)


def change(space: Space, settings: Iterable[Setting]) -> Space:
    """The space with these settings. Raises UserError with every mistake, each begun by the setting's origin."""
    settings = list(settings)
    return Draft.of(space).update(settings).validate() if settings else space


def override(space: Space, texts: Iterable[str]) -> Space:
    """The space with `KEY=VALUE` settings, as `--set` takes them. Raises UserError with every mistake."""
    return change(space, parse_settings(texts))


def apply(space: Space | Mapping[str, Any], values: Mapping[str, Any]) -> Space:
    """The space with these dotted keys set, and no longer tuned. Raises UserError with every mistake.

    Args:
        space: a space, or its plain values as a sweep keeps them; they are validated together with the new ones.
    """
    settings = [Setting(key, value, f"{key}={label(value)}") for key, value in values.items()]
    return Draft.of(space).update(settings).validate()


@dataclass
class Draft:
    """The values of a space before they are validated.

    Attributes:
        data: plain values, as YAML gives them.
        places: where the value at a path was written: a number to sort by, and what a message of it begins with.
        mistakes: those found in the settings.
    """

    data: Any
    places: dict[KeyPath, tuple[int, str]]
    mistakes: list[Mistake] = field(default_factory=list)

    @classmethod
    def of(cls, space: Space | Mapping[str, Any]) -> Draft:
        """What can be set on a space, or on its plain values."""
        data = space.model_dump() if isinstance(space, Space) else copy.deepcopy(dict(space))
        return cls(data, {(): (1, f"space {data.get('name')}")})

    def update(self, settings: Iterable[Setting]) -> Self:
        """Put settings on top, the last one of a key counts.

        A tuned key that is set is no longer tuned; `tune.KEY` gives a key a range, or takes it away where it is null.
        """
        if isinstance(self.data, dict):
            for recipe in ("evaluation", "retrain"):
                self.data[recipe] = with_cutout(self.data.get(recipe, {}))
            for setting in settings:
                self._update(setting)
        return self

    def validate(self) -> Space:
        """The space that the values make.

        What is wrong is taken out and the rest validated again, so that one mistake does not hide those found later.

        Raises:
            UserError: with a line for every mistake, begun by the place where it was written.
        """
        if not isinstance(self.data, dict):
            raise UserError(
                f"{self.places[()][1]}: a search space is a mapping of keys; legal: {', '.join(Space.model_fields)}",
                hint="pcdarts-tune spaces quickstart shows what one looks like",
            )
        dropped: set[str] = set()
        while True:
            try:
                space = Space.model_validate(self.data)
                break
            except ValidationError as error:
                found = mistakes_of(error, self.data, Space)
                self.mistakes += [mistake for mistake in found if not _follows(mistake, dropped)]
                if not sum(self._drop(mistake, dropped) for mistake in found):
                    break
        if not self.mistakes:
            return space
        placed = sorted(((*self._place(m.path), m) for m in self.mistakes), key=lambda at: at[0])
        lines = [f"{where}: {m.key + ': ' if m.path else ''}{m.text}" for _, where, m in placed]
        lines = list(dict.fromkeys(lines))
        more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
        raise UserError(
            "\n".join([*lines[:MOST_SHOWN], *more]),
            hint="pcdarts-tune spaces NAME shows a whole space that is right",
        )

    def _place(self, path: KeyPath) -> tuple[int, str]:
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def _update(self, setting: Setting) -> None:
        head, _, rest = setting.key.partition(".")
        path = (head, rest) if head == "tune" and rest else tuple(setting.key.split("."))
        self.places[path] = (0, setting.origin)
        tune = self.data.setdefault("tune", {})
        tune = tune if isinstance(tune, dict) else {}  # else it is wrong as a whole, which `validate` says
        if path == ("tune",) and setting.value == {}:
            self.data["tune"] = {}
        elif path[0] == "tune" and rest:
            if setting.value is not None:
                tune[rest] = setting.value
            elif tune.pop(rest, None) is None:
                self.mistakes.append(Mistake(path, f"not tuned; tuned are {', '.join(tune) or 'none'}"))
        elif text := _not_settable(path):
            self.mistakes.append(Mistake(path, text))
        else:
            at = self.data
            for part in path[:-1]:
                at = at.setdefault(part, {}) if isinstance(at, dict) else {}
            if isinstance(at, dict):
                at[path[-1]] = setting.value
            tune.pop(setting.key, None)

    def _drop(self, mistake: Mistake, dropped: set[str]) -> bool:
        """Take out what is wrong (a list or a range as a whole); whether there was anything to take out."""
        path = [str(part) for part in itertools.takewhile(lambda part: isinstance(part, str), mistake.path)]
        if path[:1] == ["tune"] and not mistake.unknown:
            path = path[:2]
        if not path:
            return False
        *parents, name = path
        at = functools.reduce(lambda section, part: section.get(part, {}), parents, self.data)
        if name not in at:
            return False
        if path == ["name"]:
            at["name"] = "unnamed"  # the one key that has no default
        else:
            del at[name]
        if not mistake.unknown:
            dropped.add(".".join(path[1:] if path[0] == "tune" else path))
        return True


def _follows(mistake: Mistake, dropped: set[str]) -> bool:
    """Whether a mistake may only come of what was taken out before."""
    return any(key == gone or key.startswith(gone + ".") for key in mistake.about for gone in dropped)


def _not_settable(path: tuple[str, ...]) -> str | None:
    """Why there is no value to set at a path, with the legal keys of the deepest section that exists."""
    section, field = field_at(Space, path)
    if field is not None and section is None and path != ("tune",):
        return None
    inside = path
    while inside and field_at(Space, inside)[0] is None:
        inside = inside[:-1]
    fields = (field_at(Space, inside)[0] or Space).model_fields
    names = (".".join([*inside, name]) + (".…" if section_of(f) else "") for name, f in fields.items())
    what = "a section, not a value; set one of its keys:"
    if field is None:
        what = f"unknown key{nearest('.'.join(path), leaves(Space))};"
    return f"{what} legal: {', '.join(names)}"
