"""Candidate operations that differ from edge to edge, as in the space S1 of RobustDARTS (Zela et al., ICLR 2020, section 3).

    edge_primitives = {"normal": [["skip_connect", "dil_conv_3x3"], ...], "reduce": [...]}        # one list an edge

Alphas keep one column for each operation that occurs anywhere (O of them); on an edge the softmax goes over its own ones, and the
others weigh 0. `excluded` says which, as (E, O) truth values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

EdgePrimitives = Mapping[str, Sequence[Sequence[str]]]
"""By kind of cell, the operations of each edge, edges ordered by node, then predecessor."""
Excluded = Sequence[Sequence[bool]]


def join_primitives(edge_primitives: EdgePrimitives, first: Iterable[str] = ()) -> tuple[str, ...]:
    """Every operation that occurs, once: those in `first` in its order, then the others as they come."""
    found = [name for edges in edge_primitives.values() for names in edges for name in names]
    return tuple(dict.fromkeys([name for name in first if name in found] + found))


def check_edge_primitives(edge_primitives: EdgePrimitives, kinds: Sequence[str], edges: int) -> None:
    """Refuse lists that fit no supernet; whether the names are operations is asked elsewhere.

    Raises:
        ValueError: naming the kind and the edge that are wrong, and what is legal.
    """
    if set(edge_primitives) != set(kinds):
        got = ", ".join(map(str, edge_primitives)) or "none"
        raise ValueError(f"edge_primitives are given for the cells {', '.join(kinds)}; got {got}")
    for kind in kinds:
        lists = edge_primitives[kind]
        if len(lists) != edges:
            raise ValueError(
                f"edge_primitives.{kind} has one list for each of {edges} edges; got {len(lists)}"
            )
        for edge, names in enumerate(lists):
            where = f"edge_primitives.{kind}[{edge}]"
            if len(set(names)) < len(names):
                raise ValueError(f"{where}: each operation may be listed once; got {', '.join(names)}")
            if not set(names) - {"none"}:
                raise ValueError(f"{where}: an edge needs an operation other than 'none'")


def excluded_operations(
    edge_primitives: EdgePrimitives | None, kind: str, primitives: Sequence[str]
) -> list[list[bool]] | None:
    """(E, O): which of the O operations an edge does not have; None where all edges have all."""
    if edge_primitives is None:
        return None
    return [[name not in names for name in primitives] for names in edge_primitives[kind]]
