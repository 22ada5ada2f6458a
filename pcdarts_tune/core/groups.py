"""Batches divided into groups, each with BatchNorm statistics and drop path masks of its own, for one process or several.

    Training(network, train, valid, batch_size=96, groups=2)                     # one process, two groups
    Training(network, train, valid, batch_size=96, groups=2, team=Team(0, 2))    # the first of two, in torch.distributed

Both compute the same within float error. Group g gets part g of each batch; its drop path masks are drawn from (seed,
epoch, step, g), its gradient counts by its share of the images, and clipping follows the sum over all groups. A batch that
leaves any group fewer than two images is skipped: BatchNorm cannot train on one. Running statistics are those of group 0,
as DistributedDataParallel keeps those of rank 0; before a validation the team takes over rank 0's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _NormBase

from pcdarts_tune.core.images.data import Batches
from pcdarts_tune.core.network import EvaluationNetwork

_OWN_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers"  # what newer versions call it
    if "forward_sync_buffers" in signature(nn.parallel.DistributedDataParallel.__init__).parameters
    else "broadcast_buffers": False
}


class Team:
    """The processes that train one network, torch.distributed's default group; `Team()` is one process alone."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        if not 0 <= rank < size:
            raise ValueError(f"rank must be in 0..{size - 1}; got {rank}")
        self.rank, self.size = rank, size
        self._counting: Any = None

    def wrap(self, network: EvaluationNetwork) -> nn.Module:
        """The network, whose backward passes sum their gradients over the team."""
        if self.size == 1:
            return network
        if dist.get_backend() != "gloo":
            # numbers of images are exchanged between hosts, so that no GPU is waited for
            self._counting = dist.new_group(backend="gloo")
        device = next(network.parameters()).device
        return nn.parallel.DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            find_unused_parameters=_leaves_weights_out(network),
            **_OWN_BUFFERS,
        )

    def count_images(self, own: Sequence[int], first: int, groups: int) -> list[int]:
        """How many images each of all groups has; `own` are this process's, from group `first` on."""
        counts = torch.zeros(groups, dtype=torch.int64)
        counts[first : first + len(own)] = torch.tensor(own)
        if self.size > 1:
            dist.all_reduce(counts, group=self._counting)
        return [int(count) for count in counts.tolist()]

    def add_up(self, values: Tensor) -> None:
        """Sum a tensor over the team, in place."""
        if self.size > 1:
            dist.all_reduce(values)

    def take_buffers(self, network: nn.Module) -> None:
        """Give everybody rank 0's running statistics."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)


def _leaves_weights_out(network: EvaluationNetwork) -> bool:
    """Whether the cells have an input or a node that nothing of their output comes from."""
    return not all(cell.reads_everything() for cell in network.genotype.graphs())


class Groups:
    """The groups of one process.

    Args:
        count: groups of a batch, in all processes together; images: that train.

    Attributes:
        forward: the network as the team wrapped it.
        own: numbers of the groups that this process computes.

    Raises:
        ValueError: where groups, team, batch size and images do not divide.
    """

    def __init__(
        self, count: int, team: Team, network: EvaluationNetwork, batch_size: int, images: int
    ) -> None:
        if count < 1 or count % team.size:
            raise ValueError(f"{count} groups cannot be divided among {team.size} workers: take a multiple")
        if batch_size % count or batch_size < 2 * count:
            near = max(2, round(batch_size / count)) * count
            raise ValueError(
                f"a batch of {batch_size} images cannot be divided into {count} groups of two and more: "
                f"batch_size={near} can"
            )
        if count > 1 and images < 2 * count:
            raise ValueError(
                f"{images} training images cannot be divided into {count} groups of two and more"
            )
        self.count, self.team = count, team
        self.forward = team.wrap(network)
        each = count // team.size
        self.own = range(team.rank * each, (team.rank + 1) * each)
        self._norms = [module for module in network.modules() if isinstance(module, _NormBase)]

    def epoch(
        self, batches: Batches, batch_size: int, *, epoch: int, seed: int
    ) -> Iterator[tuple[int, list[tuple[int, float, Tensor, Tensor]]]]:
        """An epoch's steps: number, and for each own group its number, what its loss counts, images and labels.

        The team goes through it together. What the losses count makes the average over the team, which is what
        DistributedDataParallel takes, that over all images of the batch.
        """
        parts = [
            batches.epoch(batch_size, epoch=epoch, seed=seed, part=(group, self.count)) for group in self.own
        ]
        for step, found in enumerate(zip(*parts, strict=True)):
            own = [len(labels) for _, labels in found]
            counts = self.team.count_images(own, self.own.start, self.count)
            if min(counts) < 2:
                continue
            total = sum(counts)
            weights = [count * self.team.size / total for count in own]
            yield step, [(g, w, *batch) for g, w, batch in zip(self.own, weights, found, strict=True)]

    @contextmanager
    def compute(self, group: int) -> Iterator[None]:
        """Around the passes of one group: gradients are summed over the team with the last one's, and running
        statistics are kept of group 0 alone."""
        wrapped = self.forward
        waiting: AbstractContextManager[None] = nullcontext()
        if isinstance(wrapped, nn.parallel.DistributedDataParallel) and group != self.own[-1]:
            waiting = wrapped.no_sync()
        for norm in self._norms:
            norm.track_running_stats = group == 0
        try:
            with waiting:
                yield
        finally:
            for norm in self._norms:
                norm.track_running_stats = True
