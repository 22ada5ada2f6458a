"""A view that outlives its terminal: where nobody reads any more (`sweep 2>&1 | head`, a closed window), it falls silent.

view = Unbroken(choose_view(board))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdarts_tune.study import Proposal
    from pcdarts_tune.sweeping.outcome import Outcome
    from pcdarts_tune.terminal.view import View


class Unbroken:
    """Passes on to `view` until that raises an OSError: what cannot be shown ends no trial."""

    def __init__(self, view: View) -> None:
        self._view: View | None = view

    def started(self, proposal: Proposal) -> None:
        self._show(lambda view: view.started(proposal))

    def restarted(self, number: int, reason: str) -> None:
        self._show(lambda view: view.restarted(number, reason))

    def record(self, number: int, record: dict[str, Any]) -> None:
        self._show(lambda view: view.record(number, record))

    def ended(self, number: int, outcome: Outcome) -> None:
        self._show(lambda view: view.ended(number, outcome))

    def tick(self, trouble: str | None) -> None:
        self._show(lambda view: view.tick(trouble))

    def close(self) -> None:
        self._show(lambda view: view.close())

    def _show(self, what: Callable[[View], None]) -> None:
        if self._view is not None:
            try:
                what(self._view)
            except OSError:
                self._view = None
