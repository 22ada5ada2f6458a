"""What a sweep aims at and what ends a trial early: the sections `constraints` and `stopping` of a space.

stopping:
  collapse: {skip_connections: 6, after: 0.5, epochs: 3}
  halving: {rungs: [0.17], keep: 0.34}
objectives: [accuracy, macs]
constraints: {max_macs: 600M}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from pcdarts_tune.spaces.keys import Listed, Section
from pcdarts_tune.spaces.values import Objective, amount

Amount = Annotated[int, Field(gt=0, le=10**18)]
Objectives = Annotated[tuple[Objective, ...], Listed, Field(min_length=1, max_length=4)]
Rung = Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)]
Rungs = Annotated[tuple[Rung, ...], Listed, Field(max_length=20)]


class ConstraintsConfig(Section):
    """Limits on the network that `retrain` builds from a genotype; a genotype beyond them is not evaluated."""

    max_params: Annotated[Amount | None, BeforeValidator(amount)] = None
    """Most parameters, such as 4.2M; null: any."""
    max_macs: Annotated[Amount | None, BeforeValidator(amount)] = None
    """Most multiply-adds an image, such as 600M (the mobile setting); null: any."""


class CollapseConfig(Section):
    """When a search has collapsed: skip connections have taken over its normal cell (DARTS+, arXiv 1909.06035;
    RobustDARTS, arXiv 1909.09656)."""

    skip_connections: int | None = Field(default=None, ge=1, le=16)
    """Skip connections in the normal cell (of 8 edges with 4 nodes) that end the trial; null: never."""
    after: float = Field(default=0.5, ge=0, lt=1)
    """Share of the search's epochs that are not looked at."""
    epochs: int = Field(default=3, ge=1, le=10_000)
    """Epochs in a row in which the cell must have so many skip connections."""


class HalvingConfig(Section):
    """Successive halving of evaluations, asynchronous (ASHA, arXiv 1810.05934), on their own held-out accuracy."""

    rungs: Rungs = ()
    """Where trials are compared: shares of the evaluation's epochs in (0, 1), or epochs; empty: nowhere."""
    keep: float = Field(default=0.34, gt=0, lt=1)
    """Share of the trials at a rung that go on, the best ones."""
    min_trials: int = Field(default=3, ge=1, le=10_000)
    """Trials that must have reached a rung before any ends there."""


class StoppingConfig(Section):
    """What ends a trial early; it is then `pruned`, with the reason."""

    collapse: CollapseConfig = CollapseConfig()
    """Of the search."""
    halving: HalvingConfig = HalvingConfig()
    """Of the evaluation."""


def rung_epochs(rungs: tuple[float | int, ...], epochs: int) -> tuple[int, ...]:
    """Epochs after which trials are compared, of an evaluation of `epochs` epochs; a share that falls together with
    another or with the end is left out."""
    reached = [rung if isinstance(rung, int) else max(1, round(rung * epochs)) for rung in rungs]
    return tuple(sorted({at for at in reached if at < epochs}))
