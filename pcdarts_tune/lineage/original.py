"""The trial, search or training that is reproduced: enough of its record to run it again.

Original.read(Finder(where).find("first:3")).series["search/loss_train"][0]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.lineage.record import RunRecord
from pcdarts_tune.tasks import Execution
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.find import Found

TRAININGS = ("retraining", "finetuning")


@dataclass(frozen=True)
class Original:
    """One run.

    Attributes:
        record: what MLflow keeps of it.
        space: what it computed with, hyperparameters set.
        where: the home that it is reproduced in.
    """

    record: RunRecord
    space: Space
    where: Where

    @classmethod
    def read(cls, found: Found) -> Original:
        """The record of what was named.

        Raises:
            UserError: for what is no such run, or whose record is not whole.
        """
        if found.cells_alone or found.run is None:
            hint = "name a trial, a search or a retraining; pcdarts-tune resume SWEEP delivers what MLflow missed"
            raise UserError(f"{found.text} has no run in MLflow to reproduce it from", hint=hint)
        record = RunRecord(found.runs, found.run)
        if record.kind not in ("trial", "search", *TRAININGS):
            wrong = f"{found.run.info.run_name} is a {record.kind}, which cannot be run again as one"
            raise UserError(wrong, hint=_hint(record.kind, record.tags))
        if record.space is None:
            wrong = f"run {record.run_id} keeps no space that this version can read"
            hint = f"the version of pcdarts-tune that made it: pcdarts-tune show {record.run_id[:12]}"
            raise UserError(wrong, hint=hint)
        if record.kind in TRAININGS and record.genotype is None:
            hint = "pcdarts-tune retrain GENOTYPE trains anew"
            raise UserError(f"run {record.run_id} keeps no genotype.json", hint=hint)
        return cls(record, record.space, found.where)

    @property
    def seed(self) -> int:
        return int(self.record.config.get("seed", self.record.tags.get(Tag.SEED, "0")))

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.record.tags.get(Tag.DEVICE, "cpu").partition(":")[0]

    @property
    def threads(self) -> int | None:
        """On a CPU; None where it was not recorded."""
        threads = self.record.tags.get(Tag.THREADS)
        return None if threads is None else int(threads)

    @property
    def execution(self) -> Execution:
        """Precision and compilation; CUDA graphs as they can be here, since they change no number."""
        tags = self.record.tags
        return Execution(tags.get(Tag.PRECISION, "float32"), tags.get(Tag.COMPILE, "off") != "off")

    @cached_property
    def series(self) -> dict[str, dict[int, float]]:
        """Metric -> epoch -> value, of what the run computed itself: an evaluation may be another trial's."""
        series = self.record.runs.series(self.record.run)
        if Tag.EVALUATION_FROM not in self.record.tags:
            return series
        return {key: values for key, values in series.items() if not key.startswith("evaluation/")}

    @property
    def data_root(self) -> Path | None:
        """Where its images were: the sweep's `--data`, or the path that the run names as its data set's source."""
        tags, inputs = self.record.tags, self.record.run.inputs
        name = tags.get(Tag.SWEEP)
        if name in sweep_names(self.where.home):
            from pcdarts_tune.sweeps.sweep import open_sweep

            sweep = open_sweep(self.where, name)
            if sweep.about["id"] == tags.get(Tag.SWEEP_ID):
                return sweep.data_root
        for data in inputs.dataset_inputs if inputs else ():
            try:
                source = Path(json.loads(data.dataset.source)["source"])
            except (KeyError, TypeError, ValueError):
                continue
            if source.is_absolute() and source.exists():
                return source
        return None

    def warnings(self, device: torch.device) -> Iterator[str]:
        """What is different here, and may make the result different."""
        import torch

        from pcdarts_tune.machine import cores
        from pcdarts_tune.tracking.provenance import versions

        here = versions()
        for name, version in self.record.versions.items():
            if here.get(name) != version and name not in ("mlflow", "optuna", "ray"):  # these compute nothing
                yield f"{name} is {here.get(name, 'missing')} here, it was {version}"
        if device.type == "cpu" and self.execution.precision == "tf32":
            yield "tf32 is a GPU's; this computes in float32"
        if device.type != self.device:
            yield f"this runs on {device.type}, the original ran on {self.device}: expect other last digits"
        elif device.type == "cuda":
            yield "a GPU adds in another order each time: expect other last digits"
        elif self.threads is None:
            yield f"how many threads it had is not recorded; this has {torch.get_num_threads()}"
        elif self.threads > cores():
            yield f"it had {self.threads} threads, this machine has {cores()} cores: it will be slow"
        if not self.record.versions:
            yield "the versions it was computed with are not recorded"


def _hint(kind: str, tags: dict[str, str]) -> str:
    hints = {
        "sweep": f"one of its trials: pcdarts-tune reproduce {tags.get(Tag.SWEEP, 'SWEEP')}:0",
        "promotion": "one of its trainings: pcdarts-tune show RUN lists them",
        "reproduction": f"the run that it reproduces: pcdarts-tune reproduce {tags.get(Tag.REPRODUCES, 'RUN')}",
    }
    return hints.get(kind, "a trial (SWEEP:TRIAL), a search or a retraining")
