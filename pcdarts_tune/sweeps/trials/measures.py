"""What a trial measures besides accuracy (its epochs, the load of its machine, the cost of its genotype), and what ends it
early: a search that collapsed, a genotype that is too large, a rung.

    collapse_reason(space, log.history)       # None, or words for the leaderboard

A search has collapsed when skip connections take over the normal (or only) cell, late in the search, and stay. The rule looks at
the genotypes derived after each epoch, as DARTS+ (arXiv 1909.06035) does.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import psutil

from pcdarts_tune.core.genotype import FAMILIES, AnyGenotype
from pcdarts_tune.machine import gpu_metrics
from pcdarts_tune.spaces.space import Space, rung_epochs
from pcdarts_tune.sweeps.study.objectives import excess, excess_reason
from pcdarts_tune.training.epochs import epoch_record
from pcdarts_tune.training.scoring import score_training

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.epochs import SearchEpoch, TrainEpoch
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.datasets import DataSet

log = logging.getLogger(__name__)

Stage = Literal["retrain", "evaluation"]
_PROCESS = psutil.Process()
_PROCESS.cpu_percent()  # the first answer is 0


def measured_record(
    epoch: SearchEpoch | TrainEpoch, stage: str, execution: Mapping[str, str], device: torch.device
) -> dict[str, Any]:
    """`epoch_record`, with what the epoch took of the machine among its metrics."""
    record = epoch_record(epoch, stage, execution)
    record["metrics"] |= system_metrics(stage, device)
    return record


def retraining_cost(space: Space, genotype: AnyGenotype, images: DataSet) -> tuple[int, int]:
    """Parameters and multiply-adds of the network that `promote` would train, without its auxiliary head."""
    return network_cost(space, genotype, images, "retrain")


def network_cost(space: Space, genotype: AnyGenotype, images: DataSet, stage: Stage) -> tuple[int, int]:
    """Parameters and multiply-adds of the network of a recipe, without its auxiliary head."""
    import torch

    from pcdarts_tune.core.cost import count_macs, count_parameters

    with torch.device("meta"):  # shapes only: no memory, no time, no random numbers
        network = _network(space, genotype, images, stage)
    return count_parameters(network), count_macs(network, images.in_channels, images.image_size)


def retraining_latency(space: Space, genotype: AnyGenotype, images: DataSet, device: torch.device) -> float:
    """Milliseconds that network takes for one image on `device`, see core.cost.measure_latency; other trials on the same
    device make it longer."""
    from pcdarts_tune.core.cost import measure_latency
    from pcdarts_tune.core.steps.execution import seed_generators

    with seed_generators(device, 0, "latency"):
        network = _network(space, genotype, images, "retrain").to(device)
    return measure_latency(network, images.in_channels, images.image_size).median


def _network(space: Space, genotype: AnyGenotype, images: DataSet, stage: Stage) -> EvaluationNetwork:
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.training.build import network_arguments

    return EvaluationNetwork(
        genotype, **{**network_arguments(getattr(space, stage), images), "auxiliary": False}
    )


@cache
def _say_once(message: str) -> None:
    log.warning("%s", message)


def system_metrics(stage: str, device: torch.device) -> dict[str, float]:
    """Cores and memory of the process that trains, memory of its machine, load of the GPU it trains on; MLflow's own
    monitor would measure the driver."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    measured = {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    measured["cpu_percent"] = _PROCESS.cpu_percent()  # since it was last asked; 200 for two cores
    measured["machine_memory_percent"] = psutil.virtual_memory().percent
    if device.type == "cuda":  # a trial without a GPU must not open one to measure it
        of_gpu, missing = gpu_metrics(device)
        measured |= of_gpu
        for reason in missing:
            _say_once(f"not recorded of the GPU: {reason}")
    # a name for each stage: both count their epochs from 0
    return {f"system/{stage}_{name}": value for name, value in measured.items()}


def collapse(skips: Sequence[int], *, skip_connections: int, first: int, epochs: int) -> int | None:
    """The epoch, from 0, after which the search counts as collapsed; None where it does not.

    Args:
        skips: skip connections in the cell after each epoch.
        skip_connections: so many, or more, are too many.
        first: the first epoch that is looked at.
        epochs: in so many epochs in a row.
    """
    row = 0
    for epoch, count in enumerate(skips):
        row = row + 1 if epoch >= first and count >= skip_connections else 0
        if row >= epochs:
            return epoch
    return None


def collapse_reason(space: Space, history: Sequence[dict[str, Any]]) -> str | None:
    """Why the search whose records these are has collapsed, by the space's rule; epochs in which the architecture was frozen
    do not count."""
    rule, search = space.stopping.collapse, space.search
    if rule.skip_connections is None:
        return None
    skips = [
        # a limit on the derived cell hides what the search came to, and does not mend it
        int(metrics.get("arch/skip_connections_unlimited", metrics["arch/skip_connections"]))
        for record in history
        if record.get("stage") == "search" and "arch/skip_connections" in (metrics := record["metrics"])
    ][: search.epochs]  # a perturbation decides after them
    first = max(search.arch_warmup_epochs, math.ceil(rule.after * search.epochs))
    at = collapse(skips, skip_connections=rule.skip_connections, first=first, epochs=rule.epochs)
    if at is None:
        return None
    family = FAMILIES[space.supernet.family]
    edges = family.kept_edges(space.supernet.nodes)
    row = f" for {rule.epochs} epochs in a row" if rule.epochs > 1 else ""
    return (
        f"the search collapsed: {skips[at]} of the {family.skips_in}'s {edges} edges are skip connections "
        f"after epoch {at + 1} of {search.epochs}, {rule.skip_connections} or more{row}"
    )


def check_derived(space: Space, found: dict[str, Any], collapsed: str | None) -> dict[str, Any]:
    """What the record of a derived genotype says besides: why the trial ends there, and how its size compares with the
    space's limits."""
    sizes = {"params": found["params"], "macs": found["macs"]}
    checked: dict[str, Any] = {}
    if over := excess(space, **sizes):
        checked["constraints"] = over
    if reason := collapsed or excess_reason(space, **sizes):
        checked["pruned"] = reason
    return checked


def reached_rung(space: Space, found: dict[str, Any], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`{"rung": …}` for the last of the evaluation's records where its epoch ends at a rung, else nothing. Rungs are epochs of
    the first training; the score that counts there is the space's, after the epochs so far."""
    epochs = records[-1]["epoch"] + 1
    if epochs not in rung_epochs(space.stopping.halving.rungs, space.evaluation.epochs):
        return {}
    known = {
        "accuracy": score_training(space.objective, records).value,
        **{name: found.get(name) for name in ("params", "macs", "latency")},
    }
    return {"rung": {"epochs": epochs, "values": {name: known[name] for name in space.objectives}}}
