"""A single search in MLflow: one run, found again when the search goes on.

run = SearchRun.open(Tracked(store, "quickstart", "search with the space's own values"), work, device)
run.epochs.epoch(0, {"search/loss_train": 1.2})
run.finish(found)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcdarts_tune.recording.epoch_run import EpochRun, Tracked, common_tags, delivering

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.searching import Found, Searching
    from pcdarts_tune.tracking import MlflowStore

_LOSS = "search/loss_train"  # every epoch has it


class SearchRun:
    """A search's MLflow run."""

    def __init__(self, store: MlflowStore, epochs: EpochRun) -> None:
        self.store, self.epochs, self.run_id = store, epochs, epochs.run_id

    @classmethod
    def open(cls, tracked: Tracked, work: Searching, device: torch.device) -> SearchRun:
        """The run of this search: the one it began in when it goes on."""
        from pcdarts_tune.sweeping.launch import about_images

        tags = common_tags("search", work.space, work.images, work.seed)
        epochs = EpochRun.open(tracked, {"pcdarts.search": work.recipe}, tags, device=device, metric=_LOSS)
        if epochs.new:
            values = work.space.model_dump(mode="json")
            searched = {f"supernet.{key}": value for key, value in values["supernet"].items()} | {
                f"search.{key}": value for key, value in values["search"].items() if key != "augment"
            }
            store = tracked.store
            store.log_parameters(epochs.run_id, {key: str(value) for key, value in searched.items()})
            store.log_json(epochs.run_id, values, "space.json")
            store.log_dataset(epochs.run_id, **about_images(work.images), context="search")
        return cls(tracked.store, epochs)

    def finish(self, found: Found) -> None:
        """Log the genotype and end the run.

        Raises:
            Undelivered: MLflow did not take all of it.
        """
        self.epochs.flush()
        with delivering():
            self._finish(found)

    def _finish(self, found: Found) -> None:
        from pcdarts_tune.draw import cell_svg, cells_png

        genotype = found.genotype
        self.store.log_json(self.run_id, genotype.to_dict(), "genotype.json")
        self.store.log_text(self.run_id, cell_svg(genotype), "cells.svg")
        self.store.log_png(self.run_id, cells_png(genotype), key="cells", step=found.epochs - 1)
        skips = genotype.skip_connections
        note = (
            f"One search, {found.epochs} epochs: genotype `{genotype.canonical_hash()}`, {skips} skip connections in "
            f"the normal cell.\n\nTo train it: `pcdarts-tune retrain {self.run_id} -o MODEL`"
        )
        tags = {"pcdarts.genotype_hash": genotype.canonical_hash(), "mlflow.note.content": note}
        self.store.set_tags(self.run_id, tags)
        self.store.close_run(self.run_id, "FINISHED")
