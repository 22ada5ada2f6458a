"""What a network costs: parameters, multiply-adds, latency.

>>> str(measure_latency(network, 3, (32, 32)))
'21.4 ms, quartiles 21.1 to 22.3, n 30, batch 1, cpu, 2 threads'
"""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pcdarts_tune.core.steps.meter import time_step
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet


def count_parameters(network: nn.Module, *, auxiliary: bool = False) -> int:
    """Number of weights; alphas and betas are not weights, the auxiliary head's count where `auxiliary` says so."""
    return sum(
        p.numel()
        for name, p in network.named_parameters()
        if not name.startswith(("alpha_", "beta_")) and (auxiliary or not name.startswith("auxiliary_head"))
    )


def count_macs(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> int:
    """Multiply-adds of one image (in_channels, H, W) through the network in evaluation; no arithmetic is done.

    As in the DARTS papers' tables, those of convolutions and linear layers alone, without the auxiliary head's.
    """
    with torch.device("meta"), torch.no_grad():
        if isinstance(network, Supernet):
            # counted as the paper draws it: the fast form composes convolutions
            twin: nn.Module = TextbookSupernet(**network.arguments)
        else:
            twin = copy.deepcopy(network).to("meta")
        with FlopCounterMode(display=False) as counter:
            twin.eval()(torch.empty(1, in_channels, *image_size))
    return int(counter.get_total_flops()) // 2  # a multiplication and an addition


@dataclass(frozen=True)
class Latency:
    """What one batch takes through a network in evaluation, in milliseconds.

    Attributes:
        median, lower, upper: of the passes: the middle and the quartiles.
        n: passes that were counted.
        batch: images a pass.
        device: `cpu` or the GPU's name.
        threads: that PyTorch had, where the device is a CPU.
    """

    median: float
    lower: float
    upper: float
    n: int
    batch: int
    device: str
    threads: int | None

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {self.threads} thread{'s' * (self.threads != 1)}"
        return (
            f"{self.median:.3g} ms, quartiles {self.lower:.3g} to {self.upper:.3g}, n {self.n}, batch {self.batch}, "
            f"{self.device}{threads}"
        )


def measure_latency(
    network: nn.Module,
    in_channels: int,
    image_size: tuple[int, int],
    *,
    batch: int = 1,
    repeats: int = 30,
    seconds: float = 5.0,
) -> Latency:
    """How long a batch (float32, channels_last) takes through the network in evaluation, on the device of its weights:
    `repeats` passes after 3 that are not counted; fewer where they would take more than `seconds`, 3 at least. What else
    runs on the device makes it longer. The network's mode is put back.
    """
    device = next(network.parameters()).device
    images = torch.zeros(batch, in_channels, *image_size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    training = network.training
    network.eval()
    times: list[float] = []
    with torch.no_grad():
        for turn in range(3 + repeats):
            times.append(1000 * time_step(lambda: network(images), device))
            if turn >= 5 and sum(times) > 1000 * seconds:
                break
    network.train(training)
    lower, median, upper = statistics.quantiles(times[3:], n=4, method="inclusive")
    on_gpu = device.type == "cuda"
    named = torch.cuda.get_device_name(device) if on_gpu else device.type
    threads = None if on_gpu else torch.get_num_threads()
    return Latency(median, lower, upper, len(times) - 3, batch, named, threads)
