"""What a trial measures besides accuracy: records of its epochs, the machine it runs on, what its genotype costs.

log.add(search_record(epoch, device), search.state_dict)
params, macs = retraining_cost(space, genotype, images)
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.retrain import TrainEpoch
    from pcdarts_tune.core.search import SearchEpoch
    from pcdarts_tune.datasets import DataSet


def search_record(epoch: SearchEpoch, device: torch.device) -> dict[str, Any]:
    """An epoch of a search as a record (see trainable.py); alphas and betas softmaxed."""
    names = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")
    return {
        "kind": "epoch",
        "stage": "search",
        "epoch": epoch.epoch,
        "epochs": epoch.epochs,
        "metrics": {**epoch.metrics(), **system_metrics("search", device)},
        "genotype": epoch.genotype.to_dict(),
        "alphas": {name: _rounded(getattr(epoch, name)) for name in names},
    }


def evaluation_record(epoch: TrainEpoch, device: torch.device) -> dict[str, Any]:
    """An epoch of an evaluation as a record."""
    return {
        "kind": "epoch",
        "stage": "evaluation",
        "epoch": epoch.epoch,
        "epochs": epoch.epochs,
        "accuracy": epoch.valid_accuracy,
        "metrics": {**epoch.metrics("evaluation"), **system_metrics("evaluation", device)},
    }


def retraining_cost(space: Space, genotype: Genotype, images: DataSet) -> tuple[int, int]:
    """Parameters and multiply-adds of the network that `promote` would train, without its auxiliary head."""
    import torch

    from pcdarts_tune.core.cost import macs, parameters
    from pcdarts_tune.core.network import EvaluationNetwork

    recipe = space.retrain
    with torch.device("meta"):  # shapes only: no memory, no time, no random numbers
        network = EvaluationNetwork(
            genotype,
            channels=recipe.channels,
            layers=recipe.layers,
            num_classes=images.num_classes,
            stem=recipe.stem,
            auxiliary=False,
            in_channels=images.in_channels,
        )
    return parameters(network), macs(network, images.in_channels, images.image_size)


def system_metrics(stage: str, device: torch.device) -> dict[str, float]:
    """Memory of the process that trains, and load of the GPU it trains on; MLflow's own monitor would measure the
    driver.
    """
    import resource

    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    measured = {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    if device.type == "cuda":  # a trial without a GPU must not open one to measure it
        with suppress(Exception):  # a number that cannot be had ends no trial
            free, total = torch.cuda.mem_get_info(device)
            measured["gpu_memory_gb"] = torch.cuda.memory_reserved(device) / 2**30
            measured["gpu_used_gb"] = (total - free) / 2**30
            measured["gpu_percent"] = float(torch.cuda.utilization(device))  # by NVIDIA's management library
    # a name for each stage: both count their epochs from 0
    return {f"system/{stage}_{name}": value for name, value in measured.items()}


def _rounded(values: Any) -> Any:
    """Five digits are enough to draw, and a fifth of the text."""
    if values is None:
        return None
    return [_rounded(value) if isinstance(value, tuple | list) else round(value, 5) for value in values]
