"""Learning rates by epoch, SGD and Adam as a device likes them, and the moving average of weights.

    >>> set_learning_rate(optimizer, learning_rate("cosine", epoch=1, epochs=50, base=0.1))     # 0.0999...

Rates are closed forms: the published order of scheduler calls gives other numbers on today's PyTorch. On CUDA optimizers
are fused, and the rate is a tensor on the device, so that a captured step sees it change. States load on any device.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

SCHEDULES = ("cosine", "linear", "step")


def learning_rate(
    schedule: str, epoch: int, epochs: int, base: float, *, minimum: float = 0.0, warmup: int = 0
) -> float:
    """The rate that epoch `epoch` (from 0) of `epochs` trains with.

    Args:
        schedule: "cosine" from base to minimum; "linear" as published for ImageNet, flatter over the last 5 epochs;
            "step", 0.97 ** epoch.
        base, minimum: rates; `minimum` is the cosine's.
        warmup: epochs of base * (epoch + 1) / warmup that replace the schedule's first ones.

    Raises:
        ValueError: for an unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")
    if epoch < warmup:
        return base * (epoch + 1) / warmup
    if schedule == "cosine":
        return minimum + (base - minimum) * (1 + math.cos(math.pi * epoch / epochs)) / 2
    if schedule == "step":
        return base * 0.97**epoch
    tail = min(5, epochs - 1)
    if epochs - epoch > tail:
        return base * (epochs - tail - epoch) / (epochs - tail)
    return base * (epochs - epoch) / ((epochs - tail) * 5)


def search_rate(epochs: int, tuning: int, base: float, minimum: float, warmup: int) -> Callable[[int], float]:
    """The weights' rate in each epoch of a search: a cosine, and from a tenth of `base` another over `tuning` more epochs."""

    def rate(epoch: int) -> float:
        if epoch < epochs:
            return learning_rate("cosine", epoch, epochs, base, minimum=minimum, warmup=warmup)
        tenth = base / 10
        return learning_rate("cosine", epoch - epochs, tuning, tenth, minimum=min(minimum, tenth))

    return rate


def drop_path_probability(epoch: int, epochs: int, final: float) -> float:
    """Drop path grows linearly: final * epoch / epochs."""
    return final * epoch / epochs


Optimizer = TypeVar("Optimizer", bound=torch.optim.Optimizer)

OF_THE_DEVICE = ("foreach", "fused", "capturable")
"""How an optimizer computes, which a checkpoint from another device must not decide."""


def sgd(parameters: Iterable[nn.Parameter], device: torch.device, **settings: Any) -> torch.optim.SGD:
    """torch.optim.SGD."""
    if device.type != "cuda":
        return torch.optim.SGD(parameters, **settings)
    return move_rate_to(torch.optim.SGD(parameters, fused=True, **settings), device)


def adam(parameters: Iterable[nn.Parameter], device: torch.device, **settings: Any) -> torch.optim.Adam:
    """torch.optim.Adam."""
    if device.type != "cuda":
        return torch.optim.Adam(parameters, **settings)
    return move_rate_to(torch.optim.Adam(parameters, fused=True, capturable=True, **settings), device)


def move_rate_to(optimizer: Optimizer, device: torch.device) -> Optimizer:
    """The optimizer with its learning rate in float32, as the fused kernels read it, on `device`."""
    for group in optimizer.param_groups:
        group["lr"] = torch.full((), group["lr"], dtype=torch.float32, device=device)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, in place where it is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """`state_dict()` with the learning rate as a number."""
    state = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take up a state from whatever device it comes; how the optimizer computes stays its own.

    The tensors of the optimizer are replaced: graphs captured with them must be captured anew.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    groups = [
        {**saved, **{key: own[key] for key in OF_THE_DEVICE if key in own}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(rate, Tensor):
            rate.fill_(float(group["lr"]))
            group["lr"] = rate


def optimizer_tensors(*optimizers: torch.optim.Optimizer) -> list[Tensor]:
    """Every tensor of the optimizers that a step changes."""
    return [
        value
        for optimizer in optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]


NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Average(Generic[NetworkT]):
    """The exponential moving average of a network's weights (EMA): average <- decay * average + (1 - decay) * network.

    It begins with the network's weights when it is made, so its memory, 1 / (1 - decay) steps, should be short against the
    training: 0.99 for a few hundred steps, 0.9999 for the published schedules. Running statistics are averaged too. CUDA
    graphs can capture it: no number that the host knows changes between steps.

    Attributes:
        network: the average, in evaluation mode.

    Raises:
        ValueError: a decay outside (0, 1).
    """

    def __init__(self, network: NetworkT, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"ema_decay must be in (0, 1), or 0 for no average; got {decay!r}")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._blend = get_ema_multi_avg_fn(decay)
        # a network keeps these tensors for life
        own, other = (list(of.state_dict(keep_vars=True).values()) for of in (self.network, network))
        pairs = list(zip(own, other, strict=True))
        # counts of batches are whole numbers, which have no average
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is now."""
        own, other = ([pair[side].detach() for pair in self._floats] for side in (0, 1))
        self._blend(own, other, 0)
        for mine, counted in self._counts:
            mine.copy_(counted)
