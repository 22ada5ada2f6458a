"""Plain data -> a `Space`, or one error with a line for every mistake."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from pcdarts_tune.config import Space
from pcdarts_tune.configuration.mistakes import Mistake, mistakes_of
from pcdarts_tune.errors import UserError

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
