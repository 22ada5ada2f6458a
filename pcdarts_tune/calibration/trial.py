"""One training of a calibration, as a Ray trial: a cell, a recipe and a seed that the task names.

    run_work(work, run, stop, tracker, data=images, function=train_cell)

It leaves its whole curve in its folder and in `EvaluationCache`, under a key that says everything the result depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.space import DataConfig, Space
from pcdarts_tune.sweeps.trials.log import EvaluationCache, TrialLog
from pcdarts_tune.sweeps.trials.measures import measured_record, network_cost
from pcdarts_tune.sweeps.trials.trial import take_share
from pcdarts_tune.tasks import CPUS, GPUS, Outcome, Report, TrialTask
from pcdarts_tune.training.journal import Record, digest

STAGE = "evaluation"
KEPT = ("epoch", "epochs", "accuracy", "held_out", "trained_images", "metrics")
"""What a curve keeps of an epoch's record."""
_SPLITS = ("split", "held_out", "split_seed", "weights_fraction", "alphas_fraction")
"""Fields of `data` that say how loaded images are split, and not which are loaded."""


@dataclass(frozen=True)
class Training:
    """What is known of one training.

    Attributes:
        curve: a record of each epoch, see `epoch_record`.
        seconds: that it took, validation and checkpoints included; `cpus` and `gpus` that it had.
        params, macs: of the network that was trained.
    """

    curve: list[Record]
    seconds: float
    cpus: float
    gpus: float
    params: int
    macs: int

    @classmethod
    def of_outcome(cls, outcome: Outcome, curve: list[Record]) -> Training:
        """From what the trial ended in. Raises ValueError: it does not say its size and time."""
        if outcome.params is None or outcome.macs is None or outcome.seconds is None:
            raise ValueError("an outcome without size and time")
        share = outcome.metrics.get(CPUS, 1.0), outcome.metrics.get(GPUS, 0.0)
        return cls(curve, outcome.seconds, *share, outcome.params, outcome.macs)

    @property
    def hours(self) -> float:
        """GPU-hours where it had a share of one, else core-hours."""
        return self.seconds * (self.gpus or self.cpus) / 3600


def images_key(data: DataConfig) -> str:
    """Which images a recipe reads: equal where only their split differs."""
    return digest({name: value for name, value in identity(data).items() if name not in _SPLITS})


def single_training(space: Space) -> Space:
    """The space as one training sees it: how many seeds are averaged, and which of its scores counts, is not its business."""
    evaluation = space.evaluation.model_copy(update={"seeds": 1})
    return space.model_copy(update={"evaluation": evaluation, "objective": "accuracy"})


def train_cell(task: TrialTask, data: Mapping[str, Any], report: Report) -> Outcome:
    """Train the task's genotype with its space's evaluation recipe, going on from a checkpoint where there is one.

    Args:
        data: `datasets.DataSet` by `images_key`.

    Raises:
        ValueError, ArithmeticError, MemoryError, torch.OutOfMemoryError: what ends this training alone.
    """
    from pcdarts_tune.training.build import build_training

    device = take_share(task)
    space = Space.model_validate_json(task.space)
    genotype = read_genotype(task.genotype or {})
    with TrialLog(task.folder, report) as log:
        if log.outcome is not None:
            return log.outcome
        images = data[images_key(space.data)]
        training = build_training(
            space,
            genotype,
            images,
            device=device,
            seed=task.evaluation_seed,
            stage="evaluation",
            execution=task.execution,
        )
        if log.part is not None:
            training.load_state_dict(log.part)
        for epoch in training:
            log.add(measured_record(epoch, STAGE, training.execution(), device), training.state_dict)
        params, macs = network_cost(space, genotype, images, "evaluation")
        outcome = Outcome(
            "complete",
            objective=log.history[-1]["accuracy"],
            genotype=genotype.to_dict(),
            genotype_hash=genotype.canonical_hash(),
            params=params,
            macs=macs,
            seconds=log.seconds(),
            metrics={**log.last(STAGE), CPUS: float(task.threads), GPUS: float(task.gpus)},
        )
        EvaluationCache.of(task, space, genotype, images.digest).write(_to_cache(outcome, log.history))
        log.finish(outcome)
        return outcome


def curve_of(history: list[Record]) -> list[Record]:
    """The epochs of a training, without what they took of the machine."""
    curve = []
    for record in history:
        if record.get("stage") == STAGE:
            kept = {key: record[key] for key in KEPT if key in record}
            metrics = {
                name: value for name, value in record["metrics"].items() if name.startswith(f"{STAGE}/")
            }
            curve.append({**kept, "metrics": metrics})
    return curve


def _to_cache(outcome: Outcome, history: list[Record]) -> dict[str, Any]:
    about = replace(outcome, genotype=None).to_dict()
    return {
        "trial": 0,
        "objective": outcome.objective,
        "metrics": outcome.metrics,
        "outcome": about,
        "curve": curve_of(history),
    }


def from_cache(known: Mapping[str, Any]) -> Training | None:
    """The training in an entry of `EvaluationCache`; None where it holds no curve."""
    try:
        return Training.of_outcome(Outcome(**known["outcome"]), known["curve"])
    except (LookupError, TypeError, ValueError):
        return None
