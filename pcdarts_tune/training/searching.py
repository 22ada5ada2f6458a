"""One search in this process: epochs to MLflow where it is tracked, a checkpoint after each, a genotype at the end.

    found = search(Searching(space, images, seed=0), checkpoint=Path("genotype.json.checkpoint"), device=device)
    found.genotype

A search that was interrupted goes on from its checkpoint, in the same MLflow run.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune import plugins
from pcdarts_tune.core.genotype import FAMILIES, AnyGenotype
from pcdarts_tune.core.search import Search
from pcdarts_tune.datasets import DataSet
from pcdarts_tune.datasets.load import about_images
from pcdarts_tune.drawing.cells import cell_svg, cells_png
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.sizes import resolve_recipe
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.tracking.run import EpochRun, Run, Tracked, Undelivered, common_tags
from pcdarts_tune.tracking.store import Content
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.epochs import Resumable, follow
from pcdarts_tune.training.journal import CheckpointStorage, digest
from pcdarts_tune.training.methods import GenotypeSearch, build_method
from pcdarts_tune.training.published import PublishedWeights


@dataclass(frozen=True)
class Searching:
    """What is searched, with the space's own values of what it would tune: everything that decides the result.

    It begins with `weights`, where there are some; `derive_only` leaves the epochs of the search away.
    """

    space: Space
    images: DataSet
    seed: int
    execution: Execution = DEFAULTS
    weights: PublishedWeights | None = None
    derive_only: bool = False

    @property
    def recipe(self) -> str:
        """16 hexadecimal digits: equal for searches that compute the same."""
        values = identity(self.space)
        return digest(
            {"seed": self.seed, "images": self.images.digest}
            | {key: values[key] for key in ("data", "supernet", "derive") if key in values}
            | {"search": identity(resolve_recipe(self.space.search, self.images.image_size))}
            | self.execution.identity()
            | plugins.identity_of(values["supernet"])
            | ({} if self.weights is None else {"weights": [self.weights.digest, self.derive_only]})
        )

    @property
    def epochs(self) -> int:
        """How many there are, those between decisions of a perturbation too."""
        return self.space.search_epochs - (self.space.search.trained_epochs if self.derive_only else 0)

    def build(self, device: torch.device) -> GenotypeSearch:
        """The search at its beginning.

        Raises:
            UserError: the weights fit another supernet, or do not say what they are asked for.
        """
        job = build_method(self.space, self.images, device=device, seed=self.seed, execution=self.execution)
        if self.weights is None:
            return job
        if not isinstance(job, Search):
            raise UserError(
                f"search.method: {self.space.search.method} trains no supernet, so it takes no weights",
                hint="--set search.method=pc-darts, or leave --from out",
            )
        if self.derive_only and not self.weights.has_architecture and self.space.derive.method == "magnitude":
            raise UserError(
                f"{self.weights.name} holds no alphas, so no cell can be derived without a search",
                hint="leave --derive-only away, and the search goes on from these weights; or set derive.method=perturbation",
            )
        self.weights.load_into(job.supernet)
        if self.derive_only:
            job.epoch = job.epochs
        return job


@dataclass(frozen=True)
class Found:
    """What came of it.

    Attributes:
        metrics: of the last epoch.
        derived_by: how, see `derive.method` of a space.
        run_id: None when it was not tracked.
        undelivered: why MLflow lacks some of the run; None where it does not.
    """

    genotype: AnyGenotype
    epochs: int
    seconds: float
    metrics: dict[str, float]
    derived_by: str = "magnitude"
    run_id: str | None = None
    undelivered: Undelivered | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "genotype": self.genotype.to_dict(),
            "genotype_hash": self.genotype.canonical_hash(),
            "epochs": self.epochs,
            "seconds": self.seconds,
            "metrics": self.metrics,
            **({} if self.derived_by == "magnitude" else {"derived_by": self.derived_by}),
        }


def search(
    work: Searching,
    *,
    checkpoint: Path | None,
    device: torch.device,
    tracked: Tracked | None = None,
    quiet: bool = False,
) -> Found:
    """Search, or go on from the checkpoint, which is the caller's to remove once the genotype is kept elsewhere.

    Raises:
        UserError: when the checkpoint belongs to something else, or the weights to another supernet.
        NonFiniteLoss: when the search diverges.
    """
    job = work.build(device)
    storage = None if checkpoint is None else CheckpointStorage.in_file(checkpoint)
    epochs = Resumable(job, storage, work.recipe, "search")
    run = None if tracked is None else _open_run(tracked, work, device)
    with run or nullcontext():
        follow(epochs, run, "search", work.epochs, _describe, quiet=quiet)
    found = Found(
        job.genotype(),
        len(epochs.history),
        sum(record["metrics"]["search/seconds"] for record in epochs.history),
        epochs.history[-1]["metrics"] if epochs.history else {},
        work.space.derive.method,
        None if run is None else run.run_id,
    )
    if run is not None:
        try:
            run.end(_end_run, run.run, found)
        except Undelivered as error:
            return replace(found, undelivered=error)
    return found


def _describe(metrics: Mapping[str, float]) -> str:
    skips = int(metrics["arch/skip_connections"])
    return f"supernet accuracy {metrics['search/acc_train']:.3f}, {skips} skip connections"


def _open_run(tracked: Tracked, work: Searching, device: torch.device) -> EpochRun:
    def content() -> Content:
        values = work.space.model_dump(mode="json")
        parameters = {f"supernet.{key}": value for key, value in values["supernet"].items()}
        parameters |= {f"search.{key}": value for key, value in values["search"].items() if key != "augment"}
        return Content(
            parameters,
            {"space.json": values, **plugins.artifact_of(values)},
            dataset=about_images(work.images),
        )

    tags = common_tags("search", work.space, work.images, work.seed)
    return EpochRun.open(tracked, {Tag.SEARCH: work.recipe}, tags, content, device)


def _end_run(run: Run, found: Found) -> None:
    genotype, store = found.genotype, run.store
    store.log_file(run.run_id, genotype.to_dict(), "genotype.json")
    store.log_file(run.run_id, cell_svg(genotype), "cells.svg")
    store.log_png(run.run_id, cells_png(genotype), key="cells", step=max(0, found.epochs - 1))
    how = f"One search, {found.epochs} epochs" if found.epochs else "Drawn, without a search"
    if found.derived_by != "magnitude":
        how += f", derived by {found.derived_by}"
    note = (
        f"{how}: genotype `{genotype.canonical_hash()}`, {genotype.skip_connections} skip "
        f"connections in the {FAMILIES[genotype.family].skips_in}.\n\nTo train it: `pcdarts-tune retrain {run.run_id} -o MODEL`"
    )
    store.set_tags(run.run_id, {Tag.GENOTYPE_HASH: genotype.canonical_hash(), "mlflow.note.content": note})
    store.close_run(run.run_id, "FINISHED")
