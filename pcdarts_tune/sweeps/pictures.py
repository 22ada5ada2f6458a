"""The pictures of a trial in MLflow, each under a key and a step: the cells and the alphas as the search goes on.

Every trial is drawn at the same epochs, so that a slider over the steps plays the cells of several runs side by side.

    pictures.cells(genotype, epoch); pictures.alphas(alphas, epoch); pictures.history(alphas_by_epoch)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdarts_tune.tracking.store import MlflowStore

PICTURES = 4
"""How many times a search is drawn, the end of it included."""


def drawn_at(epoch: int, epochs: int) -> bool:
    """Whether the search is drawn after this epoch (from 0); after the last one its outcome is."""
    return (epoch + 1) % math.ceil(epochs / PICTURES) == 0 and epoch + 1 < epochs


@dataclass(frozen=True)
class TrialPictures:
    """Draws for one run; `primitives` are the operations that alphas are about."""

    store: MlflowStore
    run_id: str
    number: int
    primitives: Sequence[str]

    def cells(self, genotype: dict[str, Any], epoch: int) -> None:
        """What would be derived after `epoch` (from 0)."""
        from pcdarts_tune.core.genotype import Genotype
        from pcdarts_tune.drawing.cells import cells_png

        png = cells_png(Genotype.from_dict(genotype), title=self._title(epoch))
        self.store.log_png(self.run_id, png, key="cells", step=epoch)

    def alphas(self, alphas: dict[str, Any], epoch: int) -> None:
        """Alphas and betas, softmaxed, after `epoch`."""
        from pcdarts_tune.drawing.alphas import alphas_png

        png = alphas_png(alphas, self.primitives, title=self._title(epoch))
        self.store.log_png(self.run_id, png, key="alphas", step=epoch)

    def history(self, alphas: dict[int, dict[str, Any]]) -> None:
        """Alphas and betas over the whole search, by epoch (from 0)."""
        from pcdarts_tune.drawing.alphas import alpha_history_png

        numbered = {epoch + 1: alphas[epoch] for epoch in alphas}
        png = alpha_history_png(numbered, self.primitives, title=f"trial {self.number}")
        self.store.log_png(self.run_id, png, key="alphas_over_epochs", step=max(alphas))

    def _title(self, epoch: int) -> str:
        return f"trial {self.number}, epoch {epoch + 1}"
