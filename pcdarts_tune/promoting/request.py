"""What a promotion is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pcdarts_tune.distributed.division import Division
from pcdarts_tune.promoting.contestants import Baselines
from pcdarts_tune.terminal.execution_options import Given


@dataclass(frozen=True)
class Request:
    """What to promote.

    Attributes:
        trial, run_id: which trial; the best one when both are None.
        model: name to register under; None takes the sweep's.
        seed: of the first training, None for the sweep's; further ones count up from it.
        settings: `KEY=VALUE` changes of the space's retraining recipe.
        force: move the alias even to a worse model, and take other images than the sweep's.
        candidates: how many of the best distinct genotypes compete.
        seeds: trainings of each genotype.
        test_all: read the test split for every training of the chosen genotype and of the baselines too, after the
            choice.
        given: how to execute the trainings, over what the sweep says.
        division: of their batches.
    """

    home: Path
    sweep: str
    trial: int | None = None
    run_id: str | None = None
    model: str | None = None
    data: Path | None = None
    seed: int | None = None
    settings: tuple[str, ...] = ()
    tracking_uri: str | None = None
    study_uri: str | None = None
    force: bool = False
    candidates: int = 1
    seeds: int = 1
    baselines: Baselines = field(default_factory=Baselines)
    test_all: bool = False
    given: Given = field(default_factory=Given)
    division: Division = field(default_factory=Division)

    @property
    def single(self) -> bool:
        """One training alone: nothing to compare."""
        return self.candidates == 1 and self.seeds == 1 and not self.baselines

    @property
    def title(self) -> str:
        """What its run in MLflow is called."""
        baselines = [*(["default"] if self.baselines.default else [])]
        if self.baselines.random:
            baselines.append(f"{self.baselines.random} random")
        what = "1 candidate" if self.candidates == 1 else f"{self.candidates} candidates"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{self.sweep} promotion, {', '.join([what, *baselines, seeds])}"
