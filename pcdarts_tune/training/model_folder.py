"""What a training leaves in its model folder: weights, cells, preprocessing, where it came from, what it costs to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.retrain import Training
    from pcdarts_tune.training.work import Retrained, Retraining


def cost_to_use(work: Retraining, training: Training, device: torch.device) -> dict[str, Any]:
    """What the trained network costs to use, as JSON: parameters, multiply-adds, bytes of its weights, latency here."""
    import copy

    from pcdarts_tune.core.cost import count_macs, count_parameters, measure_latency

    # a copy is not compiled: batch 1 would be anew; what workers trained lies on the CPU
    network, images = copy.deepcopy(training.result).to(device), work.images
    tensors = network.state_dict().values()
    return {
        "params": count_parameters(network),
        "macs": count_macs(network, images.in_channels, images.image_size),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        "latency_ms": asdict(measure_latency(network, images.in_channels, images.image_size, seconds=2.0)),
    }


def write_model(
    work: Retraining, training: Training, done: Retrained, origin: Mapping[str, Any]
) -> Retrained:
    """Write the folder of a training that has ended; the same with the digest of its weights.

    Args:
        origin: for model.json: where the genotype came from, what it costs to use.
    """
    from pcdarts_tune.core.steps.checkpoints import weights_digest
    from pcdarts_tune.datasets import preprocessing
    from pcdarts_tune.models.model import save_model
    from pcdarts_tune.tracking.provenance import git_revision, versions
    from pcdarts_tune.training.build import network_arguments

    done = replace(done, weights=weights_digest(training.result))
    save_model(
        done.folder,
        training.result,
        work.genotype,
        network_arguments(work.space.retrain, work.images),
        work.images.classes,
        preprocessing(work.images, work.space.retrain.augment),
        origin={
            **origin,
            "recipe": work.recipe,
            "space": work.space.name,
            "seed": work.seed,
            "data": {"name": work.images.name, "digest": work.images.digest},
            "result": done.result(),
            "versions": versions(),
            "git": git_revision(),
        },
    )
    return done
