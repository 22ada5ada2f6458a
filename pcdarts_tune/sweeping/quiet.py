"""Two small parts that Ray Tune takes: a way to stop it from outside, and silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Stopper
from ray.tune.progress_reporter import TrialProgressCallback


class AskedToStop(Stopper):
    """Stops the whole run, and never a single trial, once `asked` says so."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._asked()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Silent(TrialProgressCallback):
    """Takes the place of the callback that Ray adds where there is none, which prints on stdout."""

    def log_result(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
