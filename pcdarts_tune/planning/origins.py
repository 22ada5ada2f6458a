"""Where each value of a resolved configuration comes from: a line of the file, the environment, a flag, a default.

origins(space, "quickstart", ["search.epochs=3"])["search.epochs"]      # "--set"
origins(space, "quickstart", [])["supernet.channels"]                   # "quickstart.yaml:6"
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pcdarts_tune.spaces.settings import VARIABLE

if TYPE_CHECKING:
    import click

    from pcdarts_tune.spaces.space import Space

DEFAULT = "default"


def origins(
    space: Space, text: str, settings: Iterable[str], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Dotted key -> where its value comes from; ranges under `tune.KEY`.

    Args:
        space: as `spaces.load.read_space(text, settings)` gave it.
    """
    from pcdarts_tune.spaces.load import read_draft
    from pcdarts_tune.spaces.printing import constants

    places = read_draft(text).places
    found: dict[str, str] = {}
    keys = [*constants(space), *space.tune, *(f"tune.{key}" for key in space.tune)]
    for key in keys:
        path = ("tune", key.removeprefix("tune.")) if key.startswith("tune.") else tuple(key.split("."))
        if len(places) == 1 and key in ("name", "description"):
            path = ()  # a space that another package builds in Python
        found[key] = places[path][1] if path in places else DEFAULT
    found |= {key: VARIABLE for key in _keys(shlex.split(environment.get(VARIABLE, ""))) if key in found}
    found |= {key: "--set" for key in _keys(settings) if key in found}
    return found


def flag_origins(ctx: click.Context) -> dict[str, str]:
    """Parameter of the running command -> `--flag`, the variable of the environment, or `default`."""
    from click.core import ParameterSource

    found: dict[str, str] = {}
    for parameter in ctx.command.params:
        if parameter.name is None:
            continue
        source = ctx.get_parameter_source(parameter.name)
        if source == ParameterSource.COMMANDLINE:
            found[parameter.name] = max(parameter.opts, key=len)
        elif source == ParameterSource.ENVIRONMENT:
            found[parameter.name] = str(parameter.envvar)
        else:
            found[parameter.name] = DEFAULT
    return found


def _keys(settings: Iterable[str]) -> list[str]:
    return [setting.partition("=")[0].strip() for setting in settings]
