"""Recipes that are compared: a space with some of its values changed, each by a name.

    read_recipes("cifar10_cpu", ["evaluation.channels=12"], given=["long:evaluation.epochs=10"])

In a file (`--recipes FILE`) a recipe is a mapping of dotted keys; an empty one is the space as it is:

    short: {}
    long: {evaluation.epochs: 10, data.image_size: 24}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_bytes
from pcdarts_tune.spaces.keys import flatten
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.settings import parse_settings
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import BENCHMARK, Setting
from pcdarts_tune.spaces.yaml_lines import LARGEST, read_yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
SECTIONS = ("evaluation", "data")
"""What a recipe may change: the rest of a space does not count for a score."""


@dataclass(frozen=True)
class Recipe:
    """A space whose evaluation is tried; `settings` is what it changes, by dotted key."""

    name: str
    settings: dict[str, Any]
    space: Space


def read_recipes(
    space: str, settings: Sequence[str] = (), *, file: Path | None = None, given: Iterable[str] = ()
) -> list[Recipe]:
    """The recipes over a space; without any, the space as it is.

    Args:
        space: its name or file. `settings`: `--set`, which all recipes share.
        file: a YAML file of recipes. `given`: `NAME:KEY=VALUE,KEY=VALUE`.

    Raises:
        UserError: with the line or the option that is wrong.
    """
    found: dict[str, list[Setting]] = {} if file is None else _read_file(file)
    for text in given:
        name, changes = _parse(text)
        if name in found:
            raise UserError(
                f"--recipe {text}: there is a recipe {name!r} already", hint="give each a name of its own"
            )
        found[name] = changes
    if not found:
        whole = _read_whole(space, settings)
        return [Recipe(whole.name, {}, whole)]
    recipes = []
    for name, changes in found.items():
        _check(changes)
        values = {setting.key: setting.value for setting in changes}
        recipes.append(Recipe(name, values, _read_whole(space, settings, changes)))
    return recipes


def _read_whole(space: str, settings: Sequence[str], changes: Sequence[Setting] = ()) -> Space:
    whole = read_space(space, settings, changes)
    if whole.objective == BENCHMARK:
        raise UserError(
            f"the space {whole.name!r} looks accuracies up (objective: benchmark): there is no training to calibrate",
            hint="--set objective=accuracy",
        )
    return whole


def _parse(text: str) -> tuple[str, list[Setting]]:
    """`NAME:KEY=VALUE,KEY=VALUE`; commas within brackets belong to a value."""
    name, _, changes = text.partition(":")
    if not NAME.fullmatch(name):
        raise UserError(
            f"--recipe {text}: not NAME:KEY=VALUE,KEY=VALUE",
            hint="such as --recipe long:evaluation.epochs=10",
        )
    parts = re.split(r",(?![^\[{]*[\]}])", changes) if changes.strip() else []
    return name, parse_settings(parts, f"--recipe {name}:")


def _read_file(file: Path) -> dict[str, list[Setting]]:
    try:
        content = read_bytes(file, LARGEST)
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror or error}", hint="--recipes FILE.yaml"
        ) from None
    data, lines = read_yaml(content, str(file))
    hint = "a file of recipes: `long: {evaluation.epochs: 10}`, one a line"
    if not isinstance(data, dict) or not data:
        raise UserError(f"{file}:1: recipes are a mapping of names", hint=hint)
    found: dict[str, list[Setting]] = {}
    for name, values in data.items():
        where = f"{file}:{lines[(name,)]}"
        if not NAME.fullmatch(name):
            raise UserError(f"{where}: {name!r} cannot name a recipe: letters, digits, _ . -", hint=hint)
        if not isinstance(values, dict | None):
            raise UserError(f"{where}: {name} is not a mapping of keys", hint=hint)
        found[name] = []
        for key, value in flatten(values or {}).items():
            top = next(
                (
                    line
                    for path, line in lines.items()
                    if path[0:1] == (name,) and ".".join(map(str, path[1:])) == key
                ),
                None,
            )
            found[name].append(Setting(key, value, where if top is None else f"{file}:{top}"))
    return found


def _check(changes: Iterable[Setting]) -> None:
    for setting in changes:
        if setting.key.partition(".")[0] not in SECTIONS:
            raise UserError(
                f"{setting.origin}: {setting.key}: a recipe changes evaluation.… and data.…, what a score depends on",
                hint="--set changes the rest for all recipes; --objective is not needed: all scores are shown",
            )
