"""What is wrong with a plug-in: all of it at once, as one failed assertion."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcdarts_tune import plugins


class NotConformant(AssertionError):
    """A plug-in that does not do what its kind must do.

    Attributes:
        problems: what is wrong, a sentence each.
    """

    def __init__(self, what: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join([f"{what} is not as it must be:", *(f"- {each}" for each in self.problems)])
        )


def raise_problems(what: str, problems: Iterable[str]) -> None:
    """Raise `NotConformant` where there are some."""
    if found := list(problems):
        raise NotConformant(what, found)


def say_error(error: BaseException) -> str:
    """What another's code raised: its class and the first line of its text."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"


def give(plugin: str | Path | None) -> None:
    """Know the plug-ins of a file. Raises UserError: it is no Python file."""
    if plugin is not None:
        plugins.give(Path(plugin))
