"""PC-DARTS architecture search as Ray Tune trials: Optuna proposes, MLflow records, the best is retrained and registered.

    import pcdarts_tune as pt

    sweep = pt.sweep("quickstart", trials=4)
    sweep.leaderboard()
    sweep.promote()

Importing it imports nothing heavy: each name is loaded when it is first used. docs/python.md describes them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdarts_tune.api.cells import draw
    from pcdarts_tune.api.models import load_model
    from pcdarts_tune.api.retraining import retrain
    from pcdarts_tune.api.searching import search
    from pcdarts_tune.api.space import Space
    from pcdarts_tune.api.sweep import Sweep, open_sweep
    from pcdarts_tune.api.sweeping import sweep
    from pcdarts_tune.errors import UserError, WorkFailed

_MODULES = {
    "Space": "api.space",
    "Sweep": "api.sweep",
    "UserError": "errors",
    "WorkFailed": "errors",
    "draw": "api.cells",
    "load_model": "api.models",
    "open_sweep": "api.sweep",
    "retrain": "api.retraining",
    "search": "api.searching",
    "sweep": "api.sweeping",
}
"""Name -> the module that has it."""
__all__ = [
    "Space",
    "Sweep",
    "UserError",
    "WorkFailed",
    "draw",
    "load_model",
    "open_sweep",
    "retrain",
    "search",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """A name of the API, loaded when it is first asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"pcdarts_tune.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
