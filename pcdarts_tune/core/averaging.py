"""The moving average of a network's weights (EMA), which is scored and kept in place of the last step's.

    average = Average(network, decay=0.999)
    average.update()                    # after each step: average <- decay * average + (1 - decay) * network
    average.network                     # in evaluation mode

It begins with the network's weights when it is made, so its memory, 1 / (1 - decay) steps, should be short against the
training: 0.99 for a few hundred steps, 0.9999 for the published schedules. Running statistics are averaged too.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pcdarts_tune.core.network import EvaluationNetwork


class Average:
    """An exponential moving average that CUDA graphs can capture: no number that the host knows changes between steps.

    Raises:
        ValueError: a decay outside (0, 1).
    """

    def __init__(self, network: EvaluationNetwork, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"ema_decay must be in (0, 1), or 0 for no average; got {decay!r}")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._blend = get_ema_multi_avg_fn(decay)
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
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


def _tensors(network: EvaluationNetwork) -> list[Tensor]:
    """What a checkpoint holds of it; a network keeps these objects for life."""
    return list(network.state_dict(keep_vars=True).values())
