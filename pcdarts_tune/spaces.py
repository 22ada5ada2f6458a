"""A name, a path or an entry point -> a validated search space; and values set on top of one.

    space = load_space("cifar10")
    space = override(space, ["search.epochs=3", "search.arch_warmup_epochs=1"])     # what --set does
    trial = apply(space, propose(space.tune, optuna_trial))

File < environment (PCDARTS_TUNE_SET) < --set. Spaces of other packages are found by the entry point group
`pcdarts_tune.search_spaces`: a path to a YAML file, a `Space`, or a function that gives one of them.
"""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import importlib.resources
import itertools
import logging
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pcdarts_tune import yaml_lines
from pcdarts_tune.checks import leaves, lookup
from pcdarts_tune.config import Space
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.mistakes import Mistake, field_at, mistakes_of, section
from pcdarts_tune.ranges import encode, label

GROUP = "pcdarts_tune.search_spaces"
VARIABLE = "PCDARTS_TUNE_SET"
MOST_SHOWN = 40
log = logging.getLogger(__name__)


def load_space(name_or_path: str | Path) -> Space:
    """The space of that name, or in that YAML file. Raises UserError with every mistake, each with its line."""
    given = str(name_or_path)
    path = Path(given).expanduser()
    if isinstance(name_or_path, Path) or path.suffix in (".yaml", ".yml") or os.sep in given:
        return _read(path, given)
    shipped, plugged = _shipped(), _plugged()
    if given in shipped:
        return _read(shipped[given], f"{given}.yaml")
    if given in plugged:
        return _from_plugin(plugged[given])
    names = [*shipped, *plugged]
    raise UserError(
        f"no search space is called {given!r}{nearest(given, names)}; there are {', '.join(names)}",
        hint="A file of your own is given by its path, such as ./mine.yaml",
    )


def space_names() -> list[str]:
    """The names that `load_space` knows, shipped ones first; reads no file."""
    return list(dict.fromkeys([*_shipped(), *_plugged()]))


def list_spaces() -> list[Space]:
    """Every space that has a name. One of another package that cannot be read is left out, with a warning in the log."""
    shipped, plugged = _shipped(), _plugged()
    spaces = [_read(file, f"{name}.yaml") for name, file in shipped.items()]
    for name in plugged.keys() - shipped.keys():
        try:
            spaces.append(_from_plugin(plugged[name]))
        except UserError as error:
            log.warning("search space %s is left out: %s", name, error)
    return spaces


def apply(space: Space, values: Mapping[str, Any]) -> Space:
    """The space with these dotted keys set, and no longer tuned; checked again. Raises UserError with every mistake."""
    return _changed(space, values, "")


def override(space: Space, settings: Iterable[str]) -> Space:
    """The space with `KEY=VALUE` settings, values written as in YAML: `search.epochs=3`, `tune.supernet.k=null`.

    A tuned key that is set is no longer tuned; `tune.KEY={type: …}` gives a key a range, `tune.KEY=null` takes it away.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"--set {setting}: not KEY=VALUE", hint="For example: --set search.epochs=10")
        if key in values:
            raise UserError(f"--set {setting}: {key} is set twice")
        data, _ = yaml_lines.read_yaml(text.strip().encode("utf-8", "replace") or b"null", f"--set {setting}")
        values[key] = data
    return _changed(space, values, "--set ")


def from_environment(space: Space, environment: Mapping[str, str] = os.environ) -> Space:
    """The space with the settings in PCDARTS_TUNE_SET, separated by blanks and quoted as in a shell."""
    try:
        settings = shlex.split(environment.get(VARIABLE, ""))
    except ValueError as error:
        raise UserError(f"{VARIABLE}: {error}: settings are KEY=VALUE, separated by blanks") from None
    return override(space, settings) if settings else space


def validate(data: Any, place: Callable[[tuple[str | int, ...]], tuple[int, str]]) -> Space:
    """A space from plain data. Raises one UserError with a line for every mistake.

    `place` gives where a path stands: a number to sort by, and the text that begins the line, such as `mine.yaml:12`.

    What is wrong is taken out and the rest validated again, so that one mistake does not hide those found later.
    """
    data = copy.deepcopy(data)
    if not isinstance(data, dict):
        raise UserError(
            f"{place(())[1]}: a search space is a mapping of keys, such as `search:`; legal: {', '.join(Space.model_fields)}"
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
            if not any([_drop(data, mistake, dropped) for mistake in found]):
                break
    if mistakes:
        mistakes.sort(key=lambda mistake: place(mistake.path)[0])
        lines = list(
            dict.fromkeys(f"{place(m.path)[1]}: {m.key + ': ' if m.path else ''}{m.text}" for m in mistakes)
        )
        more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
        raise UserError("\n".join([*lines[:MOST_SHOWN], *more]))
    return space


def starting_point(space: Space) -> dict[str, Any] | None:
    """The space's own values of its tuned keys under Optuna's names, or None where one lies outside its range.

    What `study.enqueue_trial` takes, so that the first trial is the setting that the space is written around.
    """
    try:
        return encode(space.tune, {key: lookup(space, key) for key in space.tune}) or None
    except (ValueError, KeyError):
        return None


def constants(space: Space) -> dict[str, Any]:
    """The values that no trial changes, by dotted key; lists as tuples."""
    dumped = space.model_dump(exclude={"tune"})
    return {key: value for key, value in _flat(dumped, "").items() if key not in space.tune}


def describe(space: Space) -> str:
    """The space in a few lines: what it is, what differs from the published CIFAR-10 setting, and what is tuned."""
    published = _flat(Space(name="published").model_dump(exclude={"tune"}), "")
    own = _flat(space.model_dump(exclude={"tune", "name", "description"}), "")
    lines = [
        f"{space.name}: {space.description}".rstrip(": "),
        "",
        "set (the rest as published for CIFAR-10):",
    ]
    lines += [f"  {key} = {_text(value)}" for key, value in own.items() if published[key] != value] or [
        "  nothing"
    ]
    lines += ["", "tuned:" if space.tune else "tuned: nothing"]
    lines += [f"  {key}: {item}; starts at {_text(lookup(space, key))}" for key, item in space.tune.items()]
    return "\n".join(lines)


def _text(value: Any) -> str:
    return f"[{', '.join(map(label, value))}]" if isinstance(value, tuple) else label(value)


def _flat(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _folder() -> Traversable:
    """Where the shipped YAML files are: in the installed package, or in a checkout the folder beside it."""
    try:
        return importlib.resources.files("pcdarts_tune.search_spaces")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / "search_spaces"


def _shipped() -> dict[str, Traversable]:
    files = {
        file.name.removesuffix(".yaml"): file for file in _folder().iterdir() if file.name.endswith(".yaml")
    }
    return {name: files[name] for name in sorted(files, key=lambda name: (name != "quickstart", name))}


def _plugged() -> dict[str, importlib.metadata.EntryPoint]:
    found = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in found}


def _from_plugin(point: importlib.metadata.EntryPoint) -> Space:
    try:
        found = point.load()
        found = found() if callable(found) else found
    except Exception as error:  # another package's code: whatever it raises is its mistake, not ours
        raise UserError(
            f"search space {point.name!r} of {point.value}: {type(error).__name__}: {error}"
        ) from error
    if isinstance(found, Space):
        return found
    if isinstance(found, (str, Path)):
        return _read(Path(found), f"{point.name} ({Path(found).name})")
    raise UserError(
        f"search space {point.name!r} of {point.value} is a {type(found).__name__}, not a path or a Space"
    )


def _read(file: Traversable, shown: str) -> Space:
    if isinstance(file, Path) and not file.is_file():
        what = "is a folder, not a YAML file" if file.is_dir() else "no such file"
        raise UserError(f"{shown}: {what}", hint=f"Spaces that have a name: {', '.join(space_names())}")
    try:
        with file.open("rb") as stream:
            content = stream.read(yaml_lines.LARGEST + 1)
    except OSError as error:
        raise UserError(f"{shown}: cannot be read: {error.strerror}") from None
    data, lines = yaml_lines.read_yaml(content, Path(shown).name if file.name in shown else shown)
    if isinstance(data, dict):
        data.setdefault("name", Path(file.name).stem)

    def place(path: tuple[str | int, ...]) -> tuple[int, str]:
        while path not in lines:
            path = path[:-1]
        return lines[path], f"{shown}:{lines[path]}"

    return validate(data, place)


def _changed(space: Space, values: Mapping[str, Any], origin: str) -> Space:
    data = space.model_dump()
    mistakes: list[str] = []
    for key, value in values.items():
        error = _set(data, key, value)
        mistakes += [f"{origin}{key}: {error}"] if error else []
    if mistakes:
        raise UserError("\n".join(mistakes))

    def place(path: tuple[str | int, ...]) -> tuple[int, str]:
        key = ".".join(map(str, path))
        given = next((name for name in values if key == name or key.startswith(name + ".")), None)
        return (0, f"{origin}{given}={_shown(values[given])}") if given else (1, f"space {space.name}")

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
