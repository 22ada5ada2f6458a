"""What there is to select in a cell, one decision at a time: an operation for each edge, then the edges of each node.

>>> count_decisions(FAMILIES["darts"], 4)        # 14 edges, and the 3 nodes that have more than two
17
"""

from __future__ import annotations

from pcdarts_tune.core.cells.graph import Family, edge_places, node_slices


def all_edges(family: Family, nodes: int) -> int:
    """The candidate edges of a cell; `nodes` as the family counts them."""
    return len(edge_places(nodes - family.first_node, len(family.inputs)))


def chooses_none(family: Family) -> bool:
    """Whether a derived cell may have `none` on an edge: where all edges are kept, nothing else leaves one out."""
    return family.kept_edges(4) == all_edges(family, 4)


def kept_of_node(family: Family, nodes: int) -> int | None:
    """How many edges each node of a derived cell has; None where it keeps all."""
    kept = family.kept_edges(nodes)
    return None if kept == all_edges(family, nodes) else kept // (nodes - family.first_node)


def nodes_to_decide(family: Family, nodes: int) -> list[slice]:
    """The edges of each node that has more than a derived cell keeps."""
    kept = kept_of_node(family, nodes)
    if kept is None:
        return []
    slices = node_slices(nodes - family.first_node, len(family.inputs))
    return [rows for rows in slices if rows.stop - rows.start > kept]


def count_decisions(family: Family, nodes: int) -> int:
    """The decisions for each kind of cell."""
    return all_edges(family, nodes) + len(nodes_to_decide(family, nodes))
