"""How many operations share the weight of an edge, which says what an equal share is.

1 / count_operations((14, 8), DARTS_PRIMITIVES, FAMILIES["darts"], None)        # 0.125 everywhere
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pcdarts_tune.core.cells.candidates import EdgePrimitives, excluded_operations
from pcdarts_tune.core.genotype import Family


def count_operations(
    shape: tuple[int, int],
    primitives: Sequence[str],
    family: Family,
    edge_primitives: EdgePrimitives | None,
) -> Any:
    """(kinds, E, O): how many operations compete on the edge; NaN for those that it does not have.

    Raises:
        ValueError: when `shape`, (E, O), is of other operations.
    """
    if shape[1] != len(primitives):
        raise ValueError(f"weights must have {len(primitives)} columns, one an operation; got {shape[1]}")
    counts = np.full((len(family.kinds), *shape), float(len(primitives)))
    for cell, kind in zip(counts, family.kinds, strict=True):
        excluded = excluded_operations(edge_primitives, kind, primitives)
        if excluded is not None:
            cell[:] = (~np.array(excluded)).sum(axis=1, keepdims=True)
            cell[np.array(excluded)] = np.nan
    return counts
