"""The families of cells by name, and what is derived alike in all of them.

    S = softmax(alpha) * softmax_per_node(beta)         from which each family chooses its edges and operations

A family may let the skip connections of one of its kinds be limited (`restrict_skips`).
PyTorch is imported only where a genotype is derived, so that commands which read one start fast.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.cells.candidates import EdgePrimitives, Excluded
from pcdarts_tune.core.cells.darts import DartsFamily
from pcdarts_tune.core.cells.graph import (
    AnyGenotype,
    Family,
    GraphEdge,
    edge_places,
    node_count,
    node_slices,
)
from pcdarts_tune.core.cells.nasbench201 import NasBench201Family

if TYPE_CHECKING:
    from torch import Tensor

FAMILIES: dict[str, Family] = {"darts": DartsFamily(), "nasbench201": NasBench201Family()}


def register_family(family: Family) -> None:
    """Add a family under its name.

    Raises:
        ValueError: when the name is taken.
    """
    if family.name in FAMILIES:
        raise ValueError(f"the family {family.name!r} is registered already; choose another name")
    FAMILIES[family.name] = family


def family_named(name: str) -> Family:
    """Raises ValueError: listing the legal names."""
    if name not in FAMILIES:
        near = difflib.get_close_matches(str(name), FAMILIES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown family of cells {name!r}; legal: {', '.join(FAMILIES)}{hint}")
    return FAMILIES[name]


def family_of_kinds(kinds: Sequence[str]) -> Family:
    """The family that has just these kinds of cells. Raises ValueError: listing the kinds of each."""
    for family in FAMILIES.values():
        if set(family.kinds) == set(kinds):
            return family
    known = "; ".join(f"{family.name}: {', '.join(family.kinds)}" for family in FAMILIES.values())
    raise ValueError(f"no family has the cells {', '.join(kinds) or '(none)'}; {known}")


def read_genotype(value: Any) -> AnyGenotype:
    """Read the JSON form of any family's genotype, a NAS-Bench-201 string, or a DARTS repository's `Genotype(normal=[...], ...)`.

    Raises:
        ValueError: naming the entry that is wrong, and what is legal.
    """
    # DARTS takes any object, so it is asked last
    for family in reversed(FAMILIES.values()):
        if family.recognizes(value):
            return family.read(value)
    return FAMILIES["darts"].read(value)


def to_text(genotype: AnyGenotype) -> str:
    """The text that the family's published code prints, which `read_genotype` reads.

    Raises:
        ValueError: the family has none.
    """
    write = getattr(genotype, "to_text", None)
    if write is None:
        raise ValueError(f"cells of the family {genotype.family} have no text; their JSON form is `to_dict`")
    return str(write())


def random_genotype(
    seed: int,
    *,
    nodes: int = 4,
    primitives: Sequence[str] | None = None,
    family: str = "darts",
    edge_primitives: EdgePrimitives | None = None,
) -> AnyGenotype:
    """Draw a genotype uniformly, see the family's `random`. The same seed gives the same genotype on every machine.

    Args:
        primitives: the operations; None for the family's own.
        edge_primitives: those of each edge instead, see `candidates.py`; the family's `random` must take them.

    Raises:
        ValueError: when no cell can be made of these operations.
    """
    drawn = family_named(family)
    if edge_primitives is not None:
        random: Any = drawn.random
        found: AnyGenotype = random(seed, nodes, (), edge_primitives=edge_primitives)
        return found
    return drawn.random(seed, nodes, drawn.primitives if primitives is None else primitives)


def derive(
    family: Family,
    alphas: Mapping[str, Any],
    betas: Mapping[str, Any],
    primitives: Sequence[str] | None = None,
    *,
    max_skip_connections: int | None = None,
    excluded: Mapping[str, Excluded] | None = None,
) -> AnyGenotype:
    """Derive a genotype from raw (before softmax) architecture parameters.

    Args:
        alphas: by kind of cell (E, O), edges ordered by node, then predecessor.
        betas: by kind of cell (E,), or None without edge normalisation.
        primitives: the O names; None for the family's own.
        max_skip_connections: most skip connections of the family's `limited_kind`, see `restrict_skips`; None: any number.
        excluded: by kind of cell (E, O), the operations that an edge does not have: they are no part of its softmax and never
            taken; an edge that has none is taken after all others.

    Raises:
        ValueError: when shapes do not fit each other, a value is not finite, or skip connections cannot be limited.
    """
    import torch

    limited = None if max_skip_connections is None else require_limited_kind(family)

    names = family.primitives if primitives is None else tuple(primitives)
    inputs, nodes = len(family.inputs), 0
    cells: dict[str, list[GraphEdge]] = {}
    for kind in family.kinds:
        alpha_EO, beta_E = _check_shapes(kind, alphas[kind], betas.get(kind), names)
        nodes = node_count(len(alpha_EO), inputs)
        out_EO = torch.zeros_like(alpha_EO, dtype=torch.bool)
        if excluded is not None and kind in excluded:
            out_EO = torch.tensor(excluded[kind], dtype=torch.bool)
        strength_EO = torch.softmax(alpha_EO.masked_fill(out_EO, -torch.inf), dim=-1)
        if beta_E is not None:
            shares = [torch.softmax(beta_E[edges], dim=0) for edges in node_slices(nodes, inputs)]
            strength_EO = strength_EO * torch.cat(shares)[:, None]
        places = edge_places(nodes, inputs)
        rows = strength_EO.masked_fill(out_EO, _EXCLUDED).tolist()
        if max_skip_connections is not None and kind == limited:
            chosen = restrict_skips(family, rows, names, max_skip_connections)
        else:
            chosen = family.choose(rows, names)
        cells[kind] = [GraphEdge(names[o], *places[e]) for e, o in chosen]
    return family.assemble(cells, nodes)


SKIP = "skip_connect"
_LIMITED, _EXCLUDED = -1.0, -2.0  # strengths below weights that a softmax rounded to 0


def limited_kind(family: Family) -> str | None:
    """The kind of cell whose skip connections the family lets be limited; None where it has no rule for that."""
    return getattr(family, "limited_kind", None)


def require_limited_kind(family: Family) -> str:
    """Raises ValueError: when the family has none."""
    kind = limited_kind(family)
    if kind is None:
        having = ", ".join(name for name, one in FAMILIES.items() if limited_kind(one) is not None)
        raise ValueError(
            f"skip connections of the family {family.name!r} cannot be limited; those of {having} can"
        )
    return kind


def restrict_skips(
    family: Family, strength_EO: Sequence[Sequence[float]], primitives: Sequence[str], most: int
) -> list[tuple[int, int]]:
    """What `family.choose` keeps, with at most `most` skip connections (P-DARTS, arXiv 1904.12760, section 3.3).

    While the cell has more, its `most` strongest skip connections stay, the skip connections of its other edges lose their
    weight, and the cell is chosen again, which may bring in new ones. Of equals the first edge's stays.

    Raises:
        ValueError: when `most` is negative, or every edge can only be a skip connection.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise ValueError(f"max_skip_connections is a whole number of at least 0; got {most!r}")
    others = [o for o, name in enumerate(primitives) if name not in ("none", SKIP)]
    if any(all(row[o] == _EXCLUDED for o in others) for row in strength_EO):
        raise ValueError("without operations other than none and skip_connect, skips cannot be limited")
    rows = [list(row) for row in strength_EO]
    while True:
        chosen = family.choose(rows, primitives)
        skips = sorted((edge for edge, o in chosen if primitives[o] == SKIP))
        if len(skips) <= most:
            return chosen
        at = primitives.index(SKIP)
        for edge in sorted(skips, key=lambda e: -rows[e][at])[most:]:
            rows[edge][at] = _LIMITED


def _check_shapes(
    kind: str, raw_alpha: Any, raw_beta: Any, primitives: Sequence[str]
) -> tuple[Tensor, Tensor | None]:
    alpha_EO = _read_values(f"alpha_{kind}", raw_alpha)
    if alpha_EO.ndim != 2 or alpha_EO.shape[1] != len(primitives):
        shape = f"(edges, {len(primitives)}), one column an operation"
        raise ValueError(f"alpha_{kind} must be {shape}; got {tuple(alpha_EO.shape)}")
    beta_E = None if raw_beta is None else _read_values(f"beta_{kind}", raw_beta)
    if beta_E is not None and beta_E.shape != alpha_EO.shape[:1]:
        shape = f"({len(alpha_EO)},), one value an edge"
        raise ValueError(f"beta_{kind} must be {shape}; got {tuple(beta_E.shape)}")
    return alpha_EO, beta_E


def _read_values(name: str, raw: Any) -> Tensor:
    """Tensors, arrays, and lists of numbers, tensors or arrays in float64, which keeps close values apart."""
    import torch

    try:
        if isinstance(raw, torch.Tensor):
            values = raw.detach().cpu().double()
        else:  # an array, whatever its strides and dtype, or a list of arrays
            nested = raw if hasattr(raw, "tolist") else [_as_list(row) for row in raw]
            values = torch.tensor(_as_list(nested), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be a tensor, an array or nested lists of numbers: {error}") from None
    if not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"{name} holds NaN or infinity: the search diverged; try a lower architecture learning rate"
        )
    return values


def _as_list(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values
