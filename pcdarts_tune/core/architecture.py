"""Alphas and betas: the architecture parameters of a supernet, and the mixing weights they give.

    weight of operation o on edge e = softmax(alpha)[e, o] * softmax_per_node(beta)[e]       (PC-DARTS, eq. 2-5)

They are Parameters of the network (so they are in its state), but apart from its weights: `is_architecture`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcdarts_tune.core.genotype import node_slices

ARCHITECTURE_NAMES = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")


def edge_count(nodes: int) -> int:
    """Edges of a cell with `nodes` nodes: 2 + 3 + ... ; 14 for 4 nodes."""
    return nodes * (nodes + 3) // 2


def add_architecture(net: nn.Module, nodes: int, operations: int, edge_normalization: bool) -> None:
    """Give `net` alpha_* (E, O) and beta_* (E,), drawn from 1e-3 * N(0, 1); betas are None without edge normalisation."""
    edges = edge_count(nodes)
    for kind in ("normal", "reduce"):
        net.register_parameter(f"alpha_{kind}", nn.Parameter(1e-3 * torch.randn(edges, operations)))
    for kind in ("normal", "reduce"):
        beta = nn.Parameter(1e-3 * torch.randn(edges)) if edge_normalization else None
        net.register_parameter(f"beta_{kind}", beta)


def arch_parameters(net: nn.Module) -> list[nn.Parameter]:
    """alpha_normal, alpha_reduce and, with edge normalisation, beta_normal, beta_reduce."""
    values = (getattr(net, name) for name in ARCHITECTURE_NAMES)
    return [value for value in values if value is not None]


def weight_parameters(net: nn.Module) -> list[nn.Parameter]:
    """Every parameter that is not an alpha or a beta."""
    return [value for name, value in net.named_parameters() if name not in ARCHITECTURE_NAMES]


def softmax_per_node(beta_E: Tensor) -> Tensor:
    """Softmax over each node's incoming edges: slices of 2, 3, 4, 5, ... of `beta_E`."""
    nodes = next(n for n in range(1, len(beta_E) + 1) if edge_count(n) >= len(beta_E))
    return torch.cat([torch.softmax(beta_E[rows], dim=0) for rows in node_slices(nodes)])


def mixing_weights(alpha_EO: Tensor, beta_E: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weights of a cell kind: operations (E, O), beta folded in, and bypassed channels (E,)."""
    operations_EO = torch.softmax(alpha_EO, dim=-1)
    if beta_E is None:
        return operations_EO, operations_EO.new_ones(len(alpha_EO))
    edges_E = softmax_per_node(beta_E)
    return operations_EO * edges_E[:, None], edges_E
