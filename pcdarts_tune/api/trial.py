"""A trial of a sweep, as something that the other functions of the API take for a genotype.

best = open_sweep("first").best
retrain(best, output="trained"); draw(best)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.drawing.cells import cell_svg
from pcdarts_tune.home import Where
from pcdarts_tune.spaces.naming import format_settings
from pcdarts_tune.tasks import TrialRecord


@dataclass(frozen=True)
class Trial:
    """A trial. Its name, `str(trial)`, is SWEEP:TRIAL.

    Attributes:
        record: all that is known of it, see `tasks.TrialRecord`.
        where: the home of its sweep.
    """

    sweep: str
    record: TrialRecord
    where: Where

    def __str__(self) -> str:
        return f"{self.sweep}:{self.record.trial}"

    @property
    def number(self) -> int:
        """Its number in the sweep, from 0."""
        return self.record.trial

    @property
    def objective(self) -> float | None:
        """What Optuna maximises; None unless it is complete."""
        return self.record.objective

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Dotted key -> value."""
        return dict(self.record.hyperparameters)

    @property
    def genotype(self) -> AnyGenotype | None:
        """Its cells; None where it came to none."""
        return None if self.record.genotype is None else read_genotype(self.record.genotype)

    def __repr__(self) -> str:
        score = "" if self.objective is None else f", objective {self.objective:.4f}"
        return f"<trial {self}, {self.record.state}{score}, {format_settings(self.record.hyperparameters)}>"

    def _repr_svg_(self) -> str | None:
        return None if (cells := self.genotype) is None else cell_svg(cells)
