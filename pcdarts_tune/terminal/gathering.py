"""Options that belong together, handed to a command as one value.

worker_options = gathered(Division, "division", click.option("--workers", ...), click.option("--groups", ...))

@worker_options
def command(division: Division) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def gathered(kind: type[Any], name: str, *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """A decorator that gives a command the options, and their values as `name`.

    Args:
        kind: a dataclass whose fields are called like the options' values.
    """
    values = [field.name for field in fields(kind)]

    def decorate(function: F) -> F:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            given = kind(**{value: kwargs.pop(value) for value in values})
            return function(*args, **kwargs, **{name: given})

        for option in reversed(options):
            option(wrapped)
        return wrapped  # type: ignore[return-value]

    return decorate
