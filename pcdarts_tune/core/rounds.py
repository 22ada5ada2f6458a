"""In which order a fast cell works, and the matrices that carry its mixing weights.

A round is what happens when a source is ready: both inputs at once first, then each node that others read. Edges are
stored source by source, so that a round's edges lie side by side; `published` says where they stand in the paper's
order (by node, then predecessor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pcdarts_tune.core.genotype import node_slices


@dataclass(frozen=True)
class Round:
    """Sources (states) that are ready together and the nodes they all feed."""

    sources: tuple[int, ...]
    targets: range
    rows: slice
    published: tuple[int, ...]
    completes: bool
    """Whether the first of `targets` has all its edges after this round."""


@dataclass(frozen=True)
class RoundWeights:
    """The mixing weights of a round as matrices; T c columns: target nodes by active channels.

    by_edge: {operation: (E c, T c)}, one row block an edge; by_source: {operation: (S c, T c)}, for what all edges of
    a source share; bypass: (S, T), the weights of the bypassed channels.
    """

    by_edge: dict[str, Tensor]
    by_source: dict[str, Tensor]
    bypass: Tensor


def plan_rounds(nodes: int, *, join_inputs: bool = True) -> tuple[Round, ...]:
    """The rounds of a cell. `join_inputs` takes both cell inputs in one round; without it each has its own."""
    starts = [rows.start for rows in node_slices(nodes)]
    groups: list[tuple[int, ...]] = [(0, 1)] if join_inputs else [(0,), (1,)]
    groups += [(node + 2,) for node in range(nodes - 1)]
    rounds: list[Round] = []
    begin = 0
    for sources in groups:
        targets = range(max(0, sources[0] - 1), nodes)
        published = tuple(starts[node] + source for source in sources for node in targets)
        rows = slice(begin, begin + len(published))
        rounds.append(Round(sources, targets, rows, published, completes=sources[-1] >= 1))
        begin = rows.stop
    return tuple(rounds)


def round_weights(
    rounds: Sequence[Round], primitives: Sequence[str], operations_EO: Tensor, edges_E: Tensor, channels: int
) -> list[RoundWeights]:
    """Lay the weights of a cell kind (`architecture.mixing_weights`) out for cells of `channels` active channels."""
    identity = torch.eye(channels, dtype=operations_EO.dtype, device=operations_EO.device)
    result = []
    for r in rounds:
        s, t = len(r.sources), len(r.targets)
        index = list(r.published)
        # (O, S, T): then a block diagonal of c x c identities, zero where the edge feeds another node
        weights = operations_EO[index].t().reshape(-1, s, t)
        blocks = torch.diag_embed(weights)[:, :, :, None, :, None] * identity[:, None, :]
        by_edge = blocks.reshape(-1, s * t * channels, t * channels)
        by_source = (weights[:, :, None, :, None] * identity[:, None, :]).reshape(
            -1, s * channels, t * channels
        )
        result.append(
            RoundWeights(
                dict(zip(primitives, by_edge, strict=True)),
                dict(zip(primitives, by_source, strict=True)),
                edges_E[index].view(s, t),
            )
        )
    return result
