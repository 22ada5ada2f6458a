"""What MLflow keeps of a trial, a search or a retraining: enough to run it again.

recorded = Recorded.read(named, where)
recorded.space, recorded.seed, recorded.series["search/loss_train"][0]
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.tasks import Execution
from pcdarts_tune.tracking.tags import Tag

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.lineage.references import Named
    from pcdarts_tune.spaces.space import Space

KINDS = ("trial", "search", "retraining", "finetuning")


@dataclass(frozen=True)
class Recorded:
    """One run.

    Attributes:
        space: hyperparameters set.
        evaluation_seed: of a trial's evaluation.
        genotype: what a retraining trains. `found`: what the run has, or ended in.
        data: digest of the images. `data_root`: where they were, as far as is known here.
        device: `cpu` or `cuda`. `threads`: on a CPU; None where it was not recorded.
        execution: precision and compilation.
        versions: of the packages.
        series: metric -> epoch -> value; without the evaluation where that was another trial's.
        accuracy: on held-out images at the end.
        state, reason: how it ended.
        uri: of MLflow's store.
        groups: of a retraining, see `Retraining`.
        base: tags that name the model which a fine-tuning began with (`initial.Initial.from_tags`).
    """

    kind: str
    name: str
    run_id: str
    space: Space
    seed: int
    evaluation_seed: int | None
    genotype: Genotype | None
    found: Genotype | None
    data: str
    data_root: Path | None
    device: str
    threads: int | None
    execution: Execution
    versions: dict[str, str]
    series: dict[str, dict[int, float]]
    accuracy: float | None
    weights: str | None
    trial: int | None
    state: str
    reason: str | None
    uri: str
    groups: int = 1
    base: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, named: Named, where: Where) -> Recorded:
        """What is recorded of what was named.

        Raises:
            UserError: for what is no such run, or whose record is not whole.
        """
        from pcdarts_tune.lineage.facts import recorded_space, versions
        from pcdarts_tune.sweeps.study.samplers import derived_seed

        run, ledger = named.run, named.ledger
        if run is None:
            what = (
                f"trial {named.trial.trial} of {named.sweep.name}"
                if named.trial and named.sweep
                else named.text
            )
            raise UserError(
                f"{what} has no run in MLflow to reproduce it from",
                hint="name a trial, a search or a retraining; pcdarts-tune resume SWEEP delivers what MLflow missed",
            )
        tags, metrics = run.data.tags, run.data.metrics
        kind = tags.get(Tag.KIND, "run")
        if kind not in KINDS:
            raise UserError(
                f"{run.info.run_name} is a {kind}, which cannot be run again as one", hint=_hint(kind, tags)
            )
        space, config = recorded_space(ledger, run), ledger.kept(run, "config.json") or {}
        if space is None:
            raise UserError(
                f"run {run.info.run_id} keeps no space that this version can read",
                hint="the version of pcdarts-tune that made it: pcdarts-tune show " + run.info.run_id[:12],
            )
        cells = ledger.kept(run, "genotype.json")
        found = None if cells is None else Genotype.from_dict(cells)
        if kind in ("retraining", "finetuning") and found is None:
            raise UserError(
                f"run {run.info.run_id} keeps no genotype.json",
                hint="pcdarts-tune retrain GENOTYPE trains anew",
            )
        seed = config.get("seed", tags.get(Tag.SEED, "0"))
        sweep_seed = tags.get(Tag.SWEEP_SEED)
        return cls(
            kind=kind,
            name=f"{tags.get(Tag.SWEEP)}:{tags.get(Tag.TRIAL)}"
            if kind == "trial"
            else str(run.info.run_name),
            run_id=run.info.run_id,
            space=space,
            seed=int(seed),
            evaluation_seed=derived_seed(int(sweep_seed), "evaluation")
            if kind == "trial" and sweep_seed
            else None,
            genotype=found if kind in ("retraining", "finetuning") else None,
            found=found,
            data=tags.get(Tag.DATA, ""),
            data_root=_data_root(where, tags, run),
            device=tags.get(Tag.DEVICE, "cpu").partition(":")[0],
            threads=int(tags[Tag.THREADS]) if Tag.THREADS in tags else None,
            # graphs as they can be here: they change no number
            execution=Execution(tags.get(Tag.PRECISION, "float32"), tags.get(Tag.COMPILE, "off") != "off"),
            versions=versions(run),
            series=_series(ledger.series(run), tags),
            accuracy=metrics.get("objective", metrics.get("retrain/acc_held_out")),
            weights=tags.get(Tag.WEIGHTS),
            trial=int(tags[Tag.TRIAL]) if Tag.TRIAL in tags else None,
            state=tags.get(Tag.OUTCOME, "complete"),
            reason=tags.get(Tag.REASON),
            uri=ledger.uri,
            groups=int(tags.get(Tag.GROUPS, "1")),
            base=dict(tags) if kind == "finetuning" else {},
        )

    def warnings(self, device: torch.device) -> Iterator[str]:
        """What is different here, and may make the result different."""
        import torch

        from pcdarts_tune.tracking.provenance import versions

        here = versions()
        for name, version in self.versions.items():
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
        elif self.threads > (
            cores := len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        ):
            yield f"it had {self.threads} threads, this machine has {cores} cores: it will be slow"
        if not self.versions:
            yield "the versions it was computed with are not recorded"


def _series(series: dict[str, dict[int, float]], tags: dict[str, str]) -> dict[str, dict[int, float]]:
    """What the run computed itself: an evaluation that was taken from another trial is that trial's."""
    if Tag.EVALUATION_FROM not in tags:
        return series
    return {key: values for key, values in series.items() if not key.startswith("evaluation/")}


def _hint(kind: str, tags: dict[str, str]) -> str:
    if kind == "sweep":
        return f"one of its trials: pcdarts-tune reproduce {tags.get(Tag.SWEEP, 'SWEEP')}:0"
    if kind == "promotion":
        return "one of its trainings: pcdarts-tune show RUN lists them"
    if kind == "reproduction":
        return f"the run that it reproduces: pcdarts-tune reproduce {tags.get(Tag.REPRODUCES, 'RUN')}"
    return "a trial (SWEEP:TRIAL), a search or a retraining"


def _data_root(where: Where, tags: dict[str, str], run: Any) -> Path | None:
    """Where the images were: the sweep's `--data`, or the path that the run names as its data set's source."""
    name = tags.get(Tag.SWEEP)
    if name in sweep_names(where.home):
        from pcdarts_tune.sweeps.sweep import open_sweep

        sweep = open_sweep(where, name)
        if sweep.about["id"] == tags.get(Tag.SWEEP_ID):
            return sweep.data_root
    for data in run.inputs.dataset_inputs if run.inputs else ():
        try:
            source = Path(json.loads(data.dataset.source)["source"])
        except (KeyError, TypeError, ValueError):
            continue
        if source.is_absolute() and source.exists():
            return source
    return None
