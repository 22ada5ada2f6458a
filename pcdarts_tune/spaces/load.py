"""A name, a path or an entry point -> a validated search space; and values set on top of one.

    space = load_space("cifar10")
    space = override(space, ["search.epochs=3", "search.arch_warmup_epochs=1"])     # what --set does
    trial = apply(space, propose(space.tune, optuna_trial))

File < environment (PCDARTS_TUNE_SET) < --set. Spaces of other packages are found by the entry point group
`pcdarts_tune.search_spaces`: a path to a YAML file, a `Space`, or a function that gives one of them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import logging
import os
from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError, nearest, visible
from pcdarts_tune.files import user_path
from pcdarts_tune.spaces import yaml_lines
from pcdarts_tune.spaces.checks import lookup
from pcdarts_tune.spaces.range_kinds import label
from pcdarts_tune.spaces.ranges import encode
from pcdarts_tune.spaces.settings import apply, from_environment, override, validate
from pcdarts_tune.spaces.space import Space

if TYPE_CHECKING:
    pass

__all__ = [
    "apply",
    "constants",
    "describe",
    "from_environment",
    "list_spaces",
    "load_space",
    "override",
    "space_names",
    "starting_point",
    "written_in",
]

GROUP = "pcdarts_tune.search_spaces"
log = logging.getLogger(__name__)


def load_space(name_or_path: str | Path) -> Space:
    """The space of that name, or in that YAML file. Raises UserError with every mistake, each with its line."""
    given = str(name_or_path)
    path = _path(name_or_path)
    if path is not None:
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
    for name in (name for name in plugged if name not in shipped):
        try:
            spaces.append(_from_plugin(plugged[name]))
        except UserError as error:
            log.warning("search space %s is left out: %s", name, error)
    return spaces


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


def _path(name_or_path: str | Path) -> Path | None:
    """The file that is meant, None where it is a name."""
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or given.endswith((".yaml", ".yml")) or os.sep in given:
        return user_path(given)
    return None


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
        return Path(__file__).resolve().parents[2] / "search_spaces"


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
            f"search space {point.name!r} of {point.value}: {type(error).__name__}: {error}",
            hint=f"the package of {point.value} has to be corrected, or uninstalled",
        ) from error
    if isinstance(found, Space):
        return found
    if isinstance(found, (str, Path)):
        return _read(Path(found), f"{point.name} ({Path(found).name})")
    raise UserError(
        f"search space {point.name!r} of {point.value} is a {type(found).__name__}, not a path or a Space",
        hint=f"the package of {point.value} has to be corrected, or uninstalled",
    )


def written_in(name_or_path: str | Path) -> tuple[str, dict[yaml_lines.Path, int]]:
    """What a message calls the file of a space that `load_space` can read, and the line of every key in it.

    No lines for a space that another package builds in Python.
    """
    given, path, shipped = str(name_or_path), _path(name_or_path), _shipped()
    if path is None and given in shipped:
        content, shown = shipped[given].read_bytes(), f"{given}.yaml"
    else:
        found = _plugged()[given].load() if path is None else path
        found = found() if callable(found) else found
        if not isinstance(found, (str, Path)):
            return f"entry point {given}", {}
        content, shown = Path(found).read_bytes(), given
    return shown, yaml_lines.read_yaml(content, shown)[1]


def _read(file: Traversable, shown: str) -> Space:
    if isinstance(file, Path) and not file.is_file():
        what = "is a folder, not a YAML file" if file.is_dir() else "no such file"
        raise UserError(f"{shown}: {what}", hint=f"Spaces that have a name: {', '.join(space_names())}")
    try:
        with file.open("rb") as stream:
            content = stream.read(yaml_lines.LARGEST + 1)
    except OSError as error:
        raise UserError(f"{shown}: cannot be read: {error.strerror}", hint="check its permissions") from None
    data, lines = yaml_lines.read_yaml(content, shown)
    if isinstance(data, dict):
        data.setdefault("name", Path(file.name).stem)

    def place(path: tuple[str | int, ...]) -> tuple[int, str]:
        while path not in lines:
            path = path[:-1]
        return lines[path], f"{shown}:{lines[path]}"

    return validate(data, place)


def read_space(text: str, settings: Iterable[str] = ()) -> Space:
    """The space that SPACE names, changed by the environment (PCDARTS_TUNE_SET) and then by `--set`."""
    from pcdarts_tune.spaces.settings import from_environment, override

    space = from_environment(load_space(text))
    settings = tuple(settings)
    return override(space, settings) if settings else space
