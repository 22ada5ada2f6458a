"""In which order a fast cell works, partial channels as matrices, and the matrices that carry its mixing weights.

A round is what happens when a source is ready: both inputs at once first, then each node that others read. Edges are
stored source by source, so that a round's edges lie side by side; `published` says where they stand in the paper's
order (by node, then predecessor).

Legend: P pixels, C channels, c = C/K active ones, E edges, O operations, S sources, T nodes of the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pcdarts_tune.core.genotype import node_slices
from pcdarts_tune.core.mixing import mix_channels


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
    each of the S states before it, its bypassed channels times the edge's weight.

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


@dataclass(frozen=True)
class Round:
    """Sources (states) that are ready together and the nodes they all feed."""

    sources: tuple[int, ...]
    targets: range
    rows: slice
    published: tuple[int, ...]
    into: slice | None
    """The edges, in the paper's order, into the first of `targets`, where it has all of them after this round."""


@dataclass(frozen=True)
class Places:
    """The edges that have an operation.

    kept: of each round, their numbers among its edges. rows: their places among all edges that have the operation.
    """

    kept: tuple[tuple[int, ...], ...]
    rows: tuple[slice, ...]

    @property
    def edges(self) -> int:
        return sum(len(numbers) for numbers in self.kept)


def place_operation(rounds: Sequence[Round], has: Callable[[int], bool]) -> Places:
    """`has`: whether an edge, in the paper's order, has the operation."""
    kept = [tuple(i for i, edge in enumerate(r.published) if has(edge)) for r in rounds]
    ends = [0, *accumulate(len(numbers) for numbers in kept)]
    return Places(tuple(kept), tuple(slice(*ends[i : i + 2]) for i in range(len(kept))))


@dataclass(frozen=True)
class RoundWeights:
    """The mixing weights of a round as matrices.

    operations: (X, nodes c), to all nodes of the cell; one block of rows an operation, in the order of the primitives
    without `none`: (E c) rows by edge that has it, or (S c) rows where all edges of a source share its output.
    edges: the weights of the edges into the node that the round completes, None where it completes none.
    node: `wiring.node_matrix` of that node, where the channels are not sampled.
    """

    operations: Tensor
    edges: Tensor | None
    node: Tensor | None


def plan_rounds(nodes: int, inputs: int = 2, *, join_inputs: bool = True) -> tuple[Round, ...]:
    """The rounds of a cell. `join_inputs` takes all cell inputs in one round; without it each has its own."""
    slices = node_slices(nodes, inputs)
    starts = [rows.start for rows in slices]
    first = range(inputs)
    groups: list[tuple[int, ...]] = [tuple(first)] if join_inputs else [(state,) for state in first]
    groups += [(node + inputs,) for node in range(nodes - 1)]
    rounds: list[Round] = []
    begin = 0
    for sources in groups:
        targets = range(max(0, sources[0] - inputs + 1), nodes)
        published = tuple(starts[node] + source for source in sources for node in targets)
        rows = slice(begin, begin + len(published))
        into = slices[targets.start] if sources[-1] >= inputs - 1 else None
        rounds.append(Round(sources, targets, rows, published, into))
        begin = rows.stop
    return tuple(rounds)


def round_weights(
    rounds: Sequence[Round],
    places: Mapping[str, Places],
    shared: Callable[[str, Round], bool],
    wires: Wires | None,
    operations_EO: Tensor,
    edges_E: Tensor,
    channels: int,
) -> list[RoundWeights]:
    """Lay the weights of a cell kind (`architecture.mixing_weights`) out for cells of `channels` active channels.

    Args:
        places: of the operations, in the order of the columns.
        operations_EO: edges in the order of the rounds; `edges_E` in the paper's.
        shared: whether an operation gives one output for all edges of a source in a round.
        wires: of every state; None where each state's are sampled.
    """
    identity = torch.eye(channels, dtype=operations_EO.dtype, device=operations_EO.device)
    nodes = rounds[0].targets.stop
    result = []
    for index, r in enumerate(rounds):
        s, t = len(r.sources), len(r.targets)
        # (O, S, T): then a block diagonal of c x c identities, zero where the edge feeds another node
        weights = operations_EO[r.rows].t().reshape(-1, s, t)
        by_edge = torch.diag_embed(weights)[:, :, :, None, :, None] * identity[:, None, :]
        by_source = weights[:, :, None, :, None] * identity[:, None, :]
        rows = []
        for o, (name, place) in enumerate(places.items()):
            kept = place.kept[index]
            if name == "none" or not kept:
                continue
            block = (by_source if shared(name, r) else by_edge)[o].reshape(-1, channels, t * channels)
            if not shared(name, r) and len(kept) < s * t:
                rows += [block[number] for number in kept]
            else:
                rows.append(block.flatten(0, 1))
        matrix = F.pad(torch.cat(rows), ((nodes - t) * channels, 0))
        node = r.targets.start
        edges = None if r.into is None else edges_E[r.into]
        whole = None
        if edges is not None and wires is not None:
            whole = node_matrix(node, nodes, [wires] * len(edges), [0], edges)
        result.append(RoundWeights(matrix, edges, whole))
    return result
