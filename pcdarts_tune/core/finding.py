"""Where operations come from that nobody has registered: entry points of other packages, and what those who use the core add.

    add_finder(finder)          # asked by name, after the entry points, when an operation is wanted that is not registered

    [project.entry-points."pcdarts_tune.operations"]
    se_conv_3x3 = "my_package:se_conv_3x3"          # an `ops.OperationFactory`

Nothing is imported before an operation is built.
"""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache
from typing import Any, Protocol

GROUP = "pcdarts_tune.operations"
"""The entry points by which packages give operations of their own."""


class Finder(Protocol):
    """Knows operations that are not registered."""

    def knows(self, name: str) -> bool:
        """Whether `find` can be asked for it; loads nothing that can be avoided."""

    def find(self, name: str) -> Any:
        """Its `OperationFactory`; None where there is none."""

    def explain(self, name: str) -> str:
        """Where an operation comes from that is lacking here, as a sentence; empty where that is not known."""


_FINDERS: list[Finder] = []


def add_finder(finder: Finder) -> None:
    """Ask `finder` too, from now on."""
    if finder not in _FINDERS:
        _FINDERS.append(finder)


def entry_points(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """The entry points of a group by name, in the order of the names."""
    return _entry_points(group, tuple(sys.path))


@cache
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, importlib.metadata.EntryPoint]:
    """Of what can be imported from `path`: reading what is installed takes a tenth of a second."""
    found = sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name)
    return {point.name: point for point in found}


def knows(name: str) -> bool:
    """Whether an operation that is not registered can be found."""
    return name in entry_points(GROUP) or any(finder.knows(name) for finder in _FINDERS)


def find(name: str) -> Any:
    """The factory of an operation that is not registered; None where nobody has one.

    Raises:
        ValueError: the package that has it cannot be imported.
    """
    if (point := entry_points(GROUP).get(name)) is not None:
        try:
            return point.load()
        except Exception as error:  # another package's code: whatever it raises is its mistake
            said = f"{type(error).__name__}: {error}"
            raise ValueError(f"operation {name!r} of {point.value} cannot be loaded: {said}") from error
    return next((found for each in _FINDERS if (found := each.find(name)) is not None), None)


def explain(name: str) -> str:
    """Where an operation comes from that is lacking here; empty where that is not known."""
    return next((text for finder in _FINDERS if (text := finder.explain(name))), "")
