"""Trained networks: the model folder, prediction, export to other formats. It imports the core, data sets and what lies
below them. `load_model` is the door, also for models that older versions registered."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdarts_tune.models.model import LoadedModel, Prediction, load_model, save_model

__all__ = ["LoadedModel", "Prediction", "load_model", "save_model"]


def __getattr__(name: str) -> Any:
    """PyTorch is imported with the first name that needs it: the registry and the exports name models without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pcdarts_tune.models.model"), name)
