"""What a trial measures besides accuracy: records of its epochs, the machine it runs on, what its genotype costs.

log.add(measured_record(epoch, "search", search.execution(), device), search.state_dict)
params, macs = retraining_cost(space, genotype, images)
milliseconds = retraining_latency(space, genotype, images, device)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from pcdarts_tune.training.epochs import epoch_record

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.epochs import SearchEpoch, TrainEpoch
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space


_PROCESS = psutil.Process()
_PROCESS.cpu_percent()  # the first answer is 0


def measured_record(
    epoch: SearchEpoch | TrainEpoch, stage: str, execution: Mapping[str, str], device: torch.device
) -> dict[str, Any]:
    """`epoch_record`, with what the epoch took of the machine among its metrics."""
    record = epoch_record(epoch, stage, execution)
    record["metrics"] |= system_metrics(stage, device)
    return record


def retraining_cost(space: Space, genotype: Genotype, images: DataSet) -> tuple[int, int]:
    """Parameters and multiply-adds of the network that `promote` would train, without its auxiliary head."""
    import torch

    from pcdarts_tune.core.cost import macs, parameters

    with torch.device("meta"):  # shapes only: no memory, no time, no random numbers
        network = _retraining_network(space, genotype, images)
    return parameters(network), macs(network, images.in_channels, images.image_size)


def retraining_latency(space: Space, genotype: Genotype, images: DataSet, device: torch.device) -> float:
    """Milliseconds that network takes for one image on `device`, see core.cost.latency; other trials on the same device make
    it longer."""
    from pcdarts_tune.core.cost import latency
    from pcdarts_tune.core.steps.execution import seeded

    with seeded(device, 0, "latency"):
        network = _retraining_network(space, genotype, images).to(device)
    return latency(network, images.in_channels, images.image_size)


def _retraining_network(space: Space, genotype: Genotype, images: DataSet) -> EvaluationNetwork:
    from pcdarts_tune.core.network import EvaluationNetwork
    from pcdarts_tune.training.build import network_arguments

    return EvaluationNetwork(genotype, **{**network_arguments(space.retrain, images), "auxiliary": False})


def system_metrics(stage: str, device: torch.device) -> dict[str, float]:
    """Cores and memory of the process that trains, memory of its machine, load of the GPU it trains on; MLflow's own
    monitor would measure the driver.
    """
    import resource

    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    measured = {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    measured["cpu_percent"] = _PROCESS.cpu_percent()  # since it was last asked; 200 for two cores
    measured["machine_memory_percent"] = psutil.virtual_memory().percent
    if device.type == "cuda":  # a trial without a GPU must not open one to measure it
        with suppress(Exception):  # a number that cannot be had ends no trial
            free, total = torch.cuda.mem_get_info(device)
            measured["gpu_memory_gb"] = torch.cuda.memory_reserved(device) / 2**30
            measured["gpu_used_gb"] = (total - free) / 2**30
            measured["gpu_percent"] = float(torch.cuda.utilization(device))  # by NVIDIA's management library
    # a name for each stage: both count their epochs from 0
    return {f"system/{stage}_{name}": value for name, value in measured.items()}
