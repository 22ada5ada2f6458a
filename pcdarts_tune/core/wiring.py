"""Partial channels as matrices: which channels of a state are operated on, and where everything goes.

One matrix product then does what would be many narrow copies: taking the active channels out of a state, and putting a
finished node together from what its edges sent and bypassed, with the channels shuffled.

Legend: P pixels, C channels, c = C/K active ones, T nodes of the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pcdarts_tune.core.textbook import mix_channels


class Wires(NamedTuple):
    """select: (C, c), from a state to its active channels; place: (c, C), from what the operations gave to the node;
    bypass: (C, C), from the state to the node, zero for the active channels."""

    select: Tensor
    place: Tensor
    bypass: Tensor


def fixed_wires(channels: int, k: int, mixing: str) -> Wires:
    """The first C/K channels are active; the node's channels are shuffled or shifted (`textbook.mix_channels`)."""
    active = channels // k
    identity = torch.eye(channels)
    mixed = identity
    if k > 1:
        # each row is an image of C channels and one pixel
        image = identity[..., None, None]
        mixed = mix_channels(image[:, :active], image[:, active:], k, mixing).flatten(1)
    bypass = mixed.clone()
    bypass[:active] = 0
    return Wires(identity[:, :active].contiguous(), mixed[:active].contiguous(), bypass)


def sampled_wires(order: Tensor, k: int, like: Tensor) -> Wires:
    """The first C/K channels of `order` are active, and every channel keeps its place."""
    active = len(order) // k
    identity = torch.eye(len(order), dtype=like.dtype, device=like.device)
    place = identity[order[:active]]
    return Wires(place.t(), place, identity - place.t() @ place)


def node_matrix(
    node: int, nodes: int, wires: Sequence[Wires], groups: Sequence[int], edges_S: Tensor
) -> Tensor:
    """What puts a node together, one block of rows below the other: (G T c + S C, C).

    First, for each group of sources (whose sums over the operations are (P, T c)), the node's own columns; then, for
    each of the S = node + 2 states before it, its bypassed channels times the edge's weight.

    Args:
        wires: of each state.
        groups: the first state of each group; all states of a group share their wires.
        edges_S: weights of the node's edges; without bypassed channels they are left out.
    """
    active, channels = wires[0].place.shape
    blocks = []
    for first in groups:
        place = wires[first].place.new_zeros(nodes, active, channels)
        place[node] = wires[first].place
        blocks.append(place.flatten(0, 1).to(edges_S.dtype))
    if active < channels:
        bypass = torch.stack([w.bypass for w in wires])
        blocks.append((edges_S[:, None, None] * bypass).flatten(0, 1))
    return torch.cat(blocks)
