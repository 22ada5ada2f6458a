"""What a network costs: parameters, multiply-adds, latency.

Convention, as in the DARTS papers' tables: a MAC is one multiply-add of a convolution or a linear layer at batch 1;
BatchNorm, pooling, activations and the auxiliary head are not counted.

    >>> macs(EvaluationNetwork(genotype), in_channels=3, image_size=(32, 32))
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet


def parameters(network: nn.Module, *, auxiliary: bool = False) -> int:
    """Number of weights; alphas and betas are not weights, the auxiliary head's count where `auxiliary` says so."""
    return sum(
        p.numel()
        for name, p in network.named_parameters()
        if not name.startswith(("alpha_", "beta_")) and (auxiliary or not name.startswith("auxiliary_head"))
    )


def macs(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> int:
    """Multiply-adds of one image (in_channels, H, W) through the network in evaluation; no arithmetic is done."""
    counted = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal counted
        if isinstance(module, nn.Conv2d):
            counted += math.prod(output.shape) * math.prod(module.weight.shape[1:])
        elif isinstance(module, nn.Linear):
            counted += module.weight.numel()

    with torch.device("meta"), torch.no_grad():
        if isinstance(network, Supernet):
            # counted as the paper draws it: the fast form composes convolutions
            twin: nn.Module = TextbookSupernet(**network.arguments)
        else:
            twin = copy.deepcopy(network).to("meta")
        for module in twin.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        twin.eval()(torch.empty(1, in_channels, *image_size))
    return counted


def latency(
    network: nn.Module,
    in_channels: int,
    image_size: tuple[int, int],
    *,
    repeats: int = 30,
    seconds: float = 5.0,
) -> float:
    """Milliseconds that one image (batch 1, float32, channels_last) takes through the network in evaluation, on the device of
    its weights: the median of `repeats` passes after 3 that are not counted; fewer where they would take more than `seconds`,
    3 at least. The network's mode is put back.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, in_channels, *image_size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    training = network.training
    network.eval()
    times: list[float] = []
    with torch.no_grad():
        for turn in range(3 + repeats):
            begun = time.perf_counter()
            network(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - begun)
            if turn >= 5 and sum(times) > seconds:
                break
    network.train(training)
    return 1000 * statistics.median(times[3:])
