"""Search spaces: read by name or file, and changed.

space = Space.load("quickstart").override("search.epochs=3", {"data.image_size": 16})
space.search.epochs
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pcdarts_tune.api.entering import public
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces import space as models
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.naming import describe, to_yaml
from pcdarts_tune.spaces.settings import change, parse_settings
from pcdarts_tune.spaces.values import Setting

Settings = str | Iterable[str] | Mapping[str, Any]
"""What `set` takes: `"KEY=VALUE"`, several of them, or a mapping of dotted keys to values."""


class Space(models.Space):
    """A search space with all its values, frozen: `space.search.epochs`, `space.tune`."""

    @classmethod
    @public
    def load(cls, space: str | Path) -> Self:
        """The space of that name, or in that YAML file, with what PCDARTS_TUNE_SET sets.

        Raises:
            UserError: with every mistake, each with its line.
        """
        return cls.of(read_space(space))

    @public
    def override(self, *settings: Settings) -> Self:
        """The space with other values: `"search.epochs=3"`, `{"search.epochs": 3}`. A tuned key that is set is no longer tuned;
        `tune.KEY` gives a key a range.

        Raises:
            UserError: with every mistake.
        """
        return self.of(change(self, parse_settings(setting_texts(*settings), "override")))

    @classmethod
    def of(cls, space: models.Space) -> Self:
        """The same space with these methods."""
        # it was validated as a whole already
        return cls.model_construct(space.model_fields_set, **dict(space))

    def _repr_html_(self) -> str:
        whole = f"<details><summary>all values</summary><pre>{html.escape(to_yaml(self))}</pre></details>"
        return f"<pre>{html.escape(describe(self))}</pre>{whole}"


def setting_texts(*settings: Settings) -> tuple[str, ...]:
    """Settings as `--set` takes them."""
    texts: list[str] = []
    for each in settings:
        if isinstance(each, str):
            texts.append(each)
        elif isinstance(each, Mapping):
            texts += [f"{key}={_yaml(value)}" for key, value in each.items()]
        else:
            texts += each
    return tuple(texts)


def _yaml(value: Any) -> str:
    try:
        return json.dumps(value, default=lambda number: number.item())
    except (AttributeError, TypeError, ValueError):
        raise UserError(
            f"{value!r} is no plain value", hint="a number, a text, true or false, a list or a dict"
        ) from None


def resolve_space(
    space: str | Path | models.Space, settings: Iterable[str] = (), flags: Iterable[Setting] = ()
) -> models.Space:
    """A space by name or file, with PCDARTS_TUNE_SET, or one that is given; on top of it settings and flags.

    Raises:
        UserError: with every mistake.
    """
    if not isinstance(space, models.Space):
        return read_space(space, settings, flags)
    return change(space, [*parse_settings(settings), *flags])
