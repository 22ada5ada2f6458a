"""MLflow, for reading: runs by id or tag, what they kept, versions of models.

ledger = Ledger(uri)
run = ledger.run("4f0c91d2")                        # a prefix will do
ledger.tagged(Tag.TRIAL_RUN, run.info.run_id)
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.store import MlflowStore, require_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

SHORTEST = 6
"""Digits that a run id is recognised by, at least."""


class Ledger:
    """A tracking store that is only read.

    Raises:
        UserError: on the first question, when no server answers.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client."""
        require_answer(self.uri)
        return MlflowStore(self.uri).client

    @cached_property
    def experiments(self) -> list[str]:
        """All experiments' ids."""
        return [experiment.experiment_id for experiment in self.client.search_experiments()]

    def run(self, text: str) -> Run | None:
        """The run with that id, or the one that begins so; None where there is none.

        Raises:
            UserError: when several begin so, naming them.
        """
        digits = text.lower()
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},32}}", digits) or not self.experiments:
            return None
        found = self.client.search_runs(
            self.experiments, f"attributes.run_id LIKE '{digits}%'", max_results=5
        )
        if len(found) > 1:
            names = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in found)
            raise UserError(f"several runs begin with {text!r}: {names}", hint="give more digits")
        return found[0] if found else None

    def tagged(self, tag: str, value: str | None) -> list[Run]:
        """The runs with that tag, oldest first."""
        if not value or not self.experiments:
            return []
        wanted = f"tags.`{tag}` = '{value}'"
        order = ["attributes.start_time ASC"]
        return list(self.client.search_runs(self.experiments, wanted, order_by=order, max_results=1000))

    def kept(self, run: Run, file: str) -> Any:
        """A JSON file of the run, None where it has none."""
        import mlflow
        from mlflow.exceptions import MlflowException

        from pcdarts_tune.tracking.scope import pointed_at, quiet

        try:
            with quiet(), pointed_at(self.uri):
                return mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{file}")
        except (MlflowException, OSError):
            return None

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """The model versions that were registered from a run."""
        return list(self.client.search_model_versions(f"run_id='{run_id}'"))

    def series(self, run: Run) -> dict[str, dict[int, float]]:
        """Every metric of the run: step -> value."""
        keys = sorted(run.data.metrics)
        history = self.client.get_metric_history
        return {key: {point.step: point.value for point in history(run.info.run_id, key)} for key in keys}
