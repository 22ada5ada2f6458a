"""A name, a path or an entry point -> a validated search space.

    space = read_space("mine.yaml", ["search.epochs=3"])

File < environment (PCDARTS_TUNE_SET) < --set < flags of the command. What a plug-in gives is a path to a YAML file, a `Space`,
a dictionary of what such a file holds, or a function that gives one of them.
"""

from __future__ import annotations

import importlib.resources
import logging
import os
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path

from pcdarts_tune import plugins
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import user_path
from pcdarts_tune.spaces.settings import Draft, environment_settings, parse_settings
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import Setting
from pcdarts_tune.spaces.yaml_lines import LARGEST, read_yaml

KIND = "search_spaces"
"""What plug-ins call spaces of their own."""
log = logging.getLogger(__name__)


def load_space(name_or_path: str | Path) -> Space:
    """The space of that name, or in that YAML file. Raises UserError with every mistake, each with its line."""
    return read_draft(name_or_path).validate()


def read_space(text: str | Path, settings: Iterable[str] = (), flags: Iterable[Setting] = ()) -> Space:
    """The space that SPACE names, changed by the environment (PCDARTS_TUNE_SET), then by `--set`, then by
    flags. Raises UserError: with every mistake, each begun by its line or its setting."""
    changes = [*environment_settings(), *parse_settings(settings), *flags]
    return read_draft(text).update(changes).validate()


def read_draft(name_or_path: str | Path) -> Draft:
    """What is written in the space of that name or file, and on which lines."""
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or given.endswith((".yaml", ".yml")) or os.sep in given:
        return _read(user_path(given), given)
    shipped = _shipped()
    if (name := given.replace("-", "_")) in shipped:
        return _read(shipped[name], f"{name}.yaml")
    plugged = plugins.names(KIND)
    if given in plugged:
        return _read_plugin(given)
    names = [*shipped, *plugged]
    files = [f"{given}{suffix}" for suffix in (".yaml", ".yml") if user_path(f"{given}{suffix}").is_file()]
    raise UserError(
        f"no search space is called {given!r}{nearest(given, names)}; there are {', '.join(names)}",
        hint=f"{files[0]} for the file"
        if files
        else "A file of your own is given by its path, such as ./mine.yaml",
    )


def space_names() -> list[str]:
    """The names that `load_space` knows, shipped ones first; reads no file."""
    return list(dict.fromkeys([*_shipped(), *plugins.names(KIND)]))


def list_spaces() -> list[Space]:
    """Every space that has a name. One of another package that cannot be read is left out, with a warning in the log."""
    shipped, spaces = _shipped(), []
    for name in space_names():
        try:
            spaces.append(load_space(name))
        except UserError as error:
            if name in shipped:
                raise
            log.warning("search space %s is left out: %s", name, error)
    return spaces


def _folder() -> Traversable:
    """Where the shipped YAML files are: in the installed package, or in a checkout the folder beside it."""
    try:
        return importlib.resources.files("pcdarts_tune.search_spaces")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[2] / "search_spaces"


def _shipped() -> dict[str, Traversable]:
    files = [file for file in _folder().iterdir() if file.name.endswith(".yaml")]
    found = {file.name.removesuffix(".yaml"): file for file in files}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "quickstart", item[0])))


def _read_plugin(name: str) -> Draft:
    found, source = plugins.find(KIND, name), plugins.source_of(KIND, name)
    try:
        found = found() if callable(found) else found
    except Exception as error:  # another package's code: whatever it raises is its mistake, not ours
        raise UserError(
            f"search space {name!r} of {source}: {type(error).__name__}: {error}",
            hint=f"correct {source}",
        ) from error
    if isinstance(found, Space):
        found = found.model_dump()
    if isinstance(found, dict):
        return Draft({"name": name, **found}, {(): (1, f"search space {name} of a plug-in")})
    if isinstance(found, (str, Path)):
        return _read(Path(found), f"{name} ({Path(found).name})")
    raise UserError(
        f"search space {name!r} of {source} is a {type(found).__name__}, not a path, a dictionary or a Space",
        hint=f"correct {source}",
    )


def _read(file: Traversable, shown: str) -> Draft:
    if isinstance(file, Path) and not file.is_file():
        what = "is a folder, not a YAML file" if file.is_dir() else "no such file"
        raise UserError(f"{shown}: {what}", hint=f"Spaces that have a name: {', '.join(space_names())}")
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{shown}: cannot be read: {error.strerror}", hint="check its permissions") from None
    data, lines = read_yaml(content, shown)
    if isinstance(data, dict):
        data.setdefault("name", Path(file.name).stem)
    return Draft(data, {path: (line, f"{shown}:{line}") for path, line in lines.items()})
