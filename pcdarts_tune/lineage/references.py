"""What a person names on the command line: a run, a trial, a sweep, a model, a genotype.

    named = Finder(where).find("first:3")
    named.trial.objective

RUN is an MLflow run's id or its first digits, SWEEP:TRIAL (or SWEEP/TRIAL), `sweep:NAME`, a model's name (its
champion), model@alias, model/version, or, where only cells matter, a JSON file or a published name. A name that is both
a model's and a sweep's is the model's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.tracking.lookup import SHORTEST, Ledger
from pcdarts_tune.tracking.registry import store_uri
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from pcdarts_tune.sweeps.sources import GenotypeSource
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import TrialRecord

HINT = (
    f"an MLflow run id (or its first {SHORTEST} digits), SWEEP:TRIAL, sweep:SWEEP, a model's name, model@alias or "
    "model/version; pcdarts-tune status lists the sweeps"
)


@dataclass(frozen=True)
class Named:
    """What a text names.

    Attributes:
        ledger: the MLflow store to look in.
        sweep, trial: both for a trial, the first alone for a sweep.
        run: an MLflow run: of a trial or sweep too, where it has one.
        version: a registered model's version.
        genotype: read from a file or published.
    """

    text: str
    ledger: Ledger
    sweep: SweepHandle | None = None
    trial: TrialRecord | None = None
    run: Run | None = None
    version: ModelVersion | None = None
    genotype: GenotypeSource | None = None


class Finder:
    """Finds what texts name."""

    def __init__(self, where: Where) -> None:
        self.where, self.home = where, where.home

    @cached_property
    def _ledger(self) -> Ledger | None:
        """None where nothing was ever recorded: reading must not create a store."""
        if self.where.tracking_uri:
            return Ledger(store_uri(self.where))
        known = (self.home / "mlflow.db").is_file()
        return Ledger(self.where.mlflow_uri) if known else None

    def find(self, text: str) -> Named:
        """What the text names.

        Raises:
            UserError: when it is nothing, naming what comes near.
        """
        if match := re.fullmatch(r"sweep:(.+)", text):
            return self._sweep(text, match[1])
        if match := re.fullmatch(r"([^:/@]+):(\d+)", text):
            return self._trial(text, match[1], int(match[2]))
        if text.startswith("models:/") or "@" in text:
            return self._model(text)
        if match := re.fullmatch(r"([^:/@]+)/(\d+)", text):
            if self._is_model(match[1]) or match[1] not in sweep_names(self.home):
                return self._model(text)
            return self._trial(text, match[1], int(match[2]))
        return self._cells(text) or self._plain(text)

    def _plain(self, text: str) -> Named:
        if self._is_model(text):
            return self._model(text)
        names = sweep_names(self.home)
        if text in names:
            return self._sweep(text, text)
        if self._ledger is not None and (run := self._ledger.run(text)) is not None:
            return self.of_run(text, self._ledger, run)
        models = (
            [] if self._ledger is None else [m.name for m in self._ledger.client.search_registered_models()]
        )
        near = nearest(text, [*names, *models])
        empty = "" if names or models else f"; nothing is recorded in {self.home} yet"
        raise UserError(f"{text!r} names no run, sweep or model{near}{empty}", hint=HINT)

    def of_run(self, text: str, ledger: Ledger, run: Run) -> Named:
        """A run, with the sweep and the trial that it belongs to where they are in this home."""
        from pcdarts_tune.sweeps.sweep import open_sweep

        tags, kind = run.data.tags, run.data.tags.get(Tag.KIND)
        name = tags.get(Tag.SWEEP)
        if kind not in ("sweep", "trial") or name not in sweep_names(self.home):
            return Named(text, ledger, run=run)
        sweep = open_sweep(self.where, name)
        if sweep.about["id"] != tags.get(Tag.SWEEP_ID):  # a namesake of another home
            return Named(text, ledger, run=run)
        trial = sweep.record(int(tags[Tag.TRIAL])) if kind == "trial" else None
        return Named(text, ledger, sweep, trial, run)

    def _sweep(self, text: str, name: str) -> Named:
        from pcdarts_tune.sweeps.sweep import open_sweep

        sweep = open_sweep(self.where, name)
        ledger = Ledger(sweep.tracking_uri)
        return Named(text, ledger, sweep, run=_run(ledger, sweep.study.notes().get("run")))

    def _trial(self, text: str, name: str, number: int) -> Named:
        from pcdarts_tune.sweeps.sweep import open_sweep

        sweep = open_sweep(self.where, name)
        record = sweep.record(number)
        ledger = Ledger(sweep.tracking_uri)
        return Named(text, ledger, sweep, record, _run(ledger, record.run_id))

    def _is_model(self, name: str) -> bool:
        from mlflow.exceptions import MlflowException

        if self._ledger is None or not name:
            return False
        try:
            self._ledger.client.get_registered_model(name)
        except MlflowException:
            return False
        return True

    def _model(self, text: str) -> Named:
        from pcdarts_tune.tracking.registry import ModelName, find_version

        ledger = self._ledger or Ledger(store_uri(self.where))  # says that nothing is recorded
        wanted = ModelName.parse(text)
        version = ledger.client.get_model_version(wanted.name, str(find_version(ledger.client, wanted)))
        return Named(text, ledger, version=version, run=_run(ledger, version.run_id))

    def _cells(self, text: str) -> Named | None:
        from pcdarts_tune.core.genotype import PUBLISHED
        from pcdarts_tune.sweeps.sources import read_genotype

        if text not in PUBLISHED and not _is_file(text):
            return None
        ledger = self._ledger or Ledger(self.where.mlflow_uri)
        return Named(text, ledger, genotype=read_genotype(text, self.where))


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # no path at all
        return False


def _run(ledger: Ledger, run_id: str | None) -> Run | None:
    """A run by its whole id; None where it is not (or no longer) there."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return ledger.client.get_run(run_id)
    except MlflowException:
        return None
