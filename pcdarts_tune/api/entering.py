"""How a function of the API is entered: unknown options are refused by name, a quiet call says nothing, and the hint of an error
stands in the traceback.

    @public
    def sweep(space: str = "cifar10", *, trials: int = 32) -> Sweep: ...

    sweep(trails=4)     # UserError: sweep() has no option 'trails' (did you mean 'trials'?); …
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from pcdarts_tune.cluster.processes import change_environment
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.say import hushed

P = ParamSpec("P")
T = TypeVar("T")

QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""Environment variables that keep MLflow's own output away."""


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function one of the API. Its option `quiet`, where it has one, silences notes and progress.

    Raises:
        UserError: an option that the function does not have.
    """
    known = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]

    @wraps(function)
    def entered(*args: P.args, **options: P.kwargs) -> T:
        try:
            for name in options:
                if name not in known:
                    raise UserError(
                        f"{function.__qualname__}() has no option {name!r}{nearest(name, known)}; it has {', '.join(known)}",
                        hint="options bear the names of the command's flags, with _ in place of -",
                    )
            with hushed(bool(options.get("quiet"))), change_environment(dict(QUIET)):
                return function(*args, **options)
        except UserError as error:
            add_hint(error)
            raise

    return entered


def add_hint(error: UserError) -> None:
    """Let tracebacks, also those of a notebook, end with the hint."""
    note = f"Hint: {error.hint}"
    if error.hint and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
