"""Names of classes that look alike: the same letters in other code points, invisible letters, spaces at an end.

>>> match("cafe\\u0301", ["caf\\xe9", "tea"]) == "caf\\xe9"       # macOS and Linux write é differently
True
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from pcdarts_tune.errors import UserError


def as_seen(name: str) -> str:
    """Equal for names that a person cannot tell apart."""
    kept = [letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf"]
    return " ".join("".join(kept).split())


def match(name: str, classes: Iterable[str]) -> str | None:
    """The class of that name, in the same or in another Unicode normal form."""
    known = {unicodedata.normalize("NFC", each): each for each in classes}
    return known.get(unicodedata.normalize("NFC", name))


def check_distinct(names: Sequence[str], what: str) -> None:
    """Refuse names that repeat, or that look alike. Raises UserError: with their difference."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(as_seen(name))
        if other is None:
            seen[as_seen(name)] = name
        else:
            same = "twice" if other == name else f"as {other!a} and as {name!a}, which look alike"
            raise UserError(
                f"{what} has the class {name!r} {same}", hint="give each class one name of its own"
            )


def show_extra(extra: Sequence[str], classes: Sequence[str]) -> str:
    """Names that are not among the classes, with the class that each resembles."""
    shown = []
    for name in extra[:5]:
        near = next((each for each in classes if as_seen(each).casefold() == as_seen(name).casefold()), None)
        shown.append(name if near is None else f"{name!a} (not {near!a})")
    return ", ".join(shown) + (f" and {len(extra) - 5} more" if len(extra) > 5 else "")
