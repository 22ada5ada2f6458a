"""Genotypes: what a search ends in, how one is read, drawn at random and derived, and the published ones.

    >>> PUBLISHED["PC_DARTS_cifar"].canonical_hash()
    >>> to_text(PUBLISHED["DARTS_V2"])          # Genotype(normal=[('sep_conv_3x3', 0), ...
    >>> read_genotype("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|").to_dict()

`cells` has the families: `darts` and `nasbench201`. PyTorch is imported only where a genotype is derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pcdarts_tune.core.cells.darts import DARTS_PRIMITIVES, Edge, Genotype
from pcdarts_tune.core.cells.family import (
    FAMILIES,
    derive,
    family_named,
    family_of_kinds,
    limited_kind,
    random_genotype,
    read_genotype,
    register_family,
    require_limited_kind,
    to_text,
)
from pcdarts_tune.core.cells.graph import (
    AnyGenotype,
    CellGraph,
    Family,
    GraphEdge,
    edge_places,
    node_count,
    node_slices,
)
from pcdarts_tune.core.cells.nasbench201 import NASBENCH201_PRIMITIVES, NasBench201Genotype
from pcdarts_tune.core.cells.published import PUBLISHED, SOURCES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DARTS_PRIMITIVES",
    "FAMILIES",
    "NASBENCH201_PRIMITIVES",
    "PUBLISHED",
    "SOURCES",
    "AnyGenotype",
    "CellGraph",
    "Edge",
    "Family",
    "Genotype",
    "GraphEdge",
    "NasBench201Genotype",
    "derive",
    "derive_genotype",
    "edge_places",
    "family_named",
    "family_of_kinds",
    "limited_kind",
    "node_count",
    "node_slices",
    "random_genotype",
    "read_genotype",
    "register_family",
    "require_limited_kind",
    "to_text",
]


def derive_genotype(
    alpha_normal: Tensor | Sequence[Sequence[float]],
    alpha_reduce: Tensor | Sequence[Sequence[float]],
    beta_normal: Tensor | Sequence[float] | None = None,
    beta_reduce: Tensor | Sequence[float] | None = None,
    *,
    primitives: Sequence[str] = DARTS_PRIMITIVES,
    max_skip_connections: int | None = None,
) -> Genotype:
    """Derive a genotype of the DARTS family from raw (before softmax) architecture parameters.

    Args:
        alpha_normal, alpha_reduce: (E, O), edges ordered by node, then predecessor; E = 14 for 4 nodes.
        beta_normal, beta_reduce: (E,), or None for DARTS without edge normalisation.
        primitives: the O names; `none` weakens an edge through the softmax and is never chosen.
        max_skip_connections: of the normal cell (P-DARTS, arXiv 1904.12760, section 3.3); None: any number.

    Returns:
        For each node its 2 strongest edges, strongest first. Ties: lower predecessor, lower operation.

    Raises:
        ValueError: when shapes do not fit each other, or a value is not finite.
    """
    alphas = {"normal": alpha_normal, "reduce": alpha_reduce}
    betas = {"normal": beta_normal, "reduce": beta_reduce}
    found = derive(
        FAMILIES["darts"], alphas, betas, tuple(primitives), max_skip_connections=max_skip_connections
    )
    assert isinstance(found, Genotype)
    return found
