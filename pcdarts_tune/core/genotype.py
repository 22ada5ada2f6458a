"""Genotypes: what a search ends in, how one is derived from alphas and betas, and the published ones.

Derivation (DARTS, section 2.4; PC-DARTS, section 3.3) keeps the two strongest edges of each node:

    S = softmax(alpha) * softmax_per_node(beta),   strength(edge) = max over operations other than `none` of S

    >>> PUBLISHED["PC_DARTS_cifar"].canonical_hash()

PyTorch is imported only where a genotype is derived, so that commands which read one start fast.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Edge = tuple[str, int]
"""(operation, predecessor); predecessors 0 and 1 are the cell's inputs, node i is predecessor i + 2."""

DARTS_PRIMITIVES: tuple[str, ...] = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


@dataclass(frozen=True)
class Genotype:
    """Two cells; each node takes two edges, listed node by node, and `*_concat` names the states that are the output."""

    normal: tuple[Edge, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Edge, ...]
    reduce_concat: tuple[int, ...]

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Genotype:
        """Read the published JSON form.

        Raises:
            ValueError: naming the field and the entry that is wrong, and what is legal.
        """
        fields = ("normal", "normal_concat", "reduce", "reduce_concat")
        legal = ", ".join(fields)
        if not isinstance(mapping, Mapping):
            found = {list: "a list", str: "a string", type(None): "null"}.get(type(mapping), "a number")
            raise ValueError(f"a genotype is a JSON object with {legal}; this is {found}")
        if missing := [name for name in fields if name not in mapping]:
            raise ValueError(f"a genotype has the fields {legal}; missing: {', '.join(missing)}")
        if unknown := [str(name) for name in mapping if name not in fields]:
            raise ValueError(f"a genotype has only the fields {legal}; unknown: {', '.join(unknown)}")
        read: list[Any] = []
        for name in ("normal", "reduce"):
            read.append(_read_cell(name, mapping[name]))
            read.append(_read_concat(f"{name}_concat", mapping[f"{name}_concat"], len(read[-1]) // 2))
        return cls(*read)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON form, made of lists, strings and integers."""
        return {
            "normal": [list(edge) for edge in self.normal],
            "normal_concat": list(self.normal_concat),
            "reduce": [list(edge) for edge in self.reduce],
            "reduce_concat": list(self.reduce_concat),
        }

    def canonical_hash(self) -> str:
        """16 hexadecimal digits; equal for cells that differ only in the order of a node's two edges or of the concat."""
        canonical = [
            [[sorted(cell[i : i + 2]) for i in range(0, len(cell), 2)], sorted(concat)]
            for cell, concat in ((self.normal, self.normal_concat), (self.reduce, self.reduce_concat))
        ]
        return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()[:16]

    @property
    def skip_connections(self) -> int:
        """How many edges of the normal cell are `skip_connect`: the published sign of a collapsed search."""
        return sum(operation == "skip_connect" for operation, _ in self.normal)


def derive_genotype(
    alpha_normal: Tensor | Sequence[Sequence[float]],
    alpha_reduce: Tensor | Sequence[Sequence[float]],
    beta_normal: Tensor | Sequence[float] | None = None,
    beta_reduce: Tensor | Sequence[float] | None = None,
    *,
    primitives: Sequence[str] = DARTS_PRIMITIVES,
) -> Genotype:
    """Derive the genotype from raw (before softmax) architecture parameters.

    Args:
        alpha_normal, alpha_reduce: (E, O), edges ordered by node, then predecessor; E = 14 for 4 nodes.
        beta_normal, beta_reduce: (E,), or None for DARTS without edge normalisation.
        primitives: the O names; `none` weakens an edge through the softmax and is never chosen.

    Returns:
        For each node its 2 strongest edges, strongest first. Ties: lower predecessor, lower operation.

    Raises:
        ValueError: when shapes do not fit each other, or a value is not finite.
    """
    if all(name == "none" for name in primitives):
        raise ValueError("a genotype needs at least one operation other than 'none'")
    normal = _derive_cell("normal", alpha_normal, beta_normal, primitives)
    reduce = _derive_cell("reduce", alpha_reduce, beta_reduce, primitives)
    concat = tuple(range(2, len(reduce) // 2 + 2))
    return Genotype(normal, concat, reduce, concat)


def node_count(edges: int) -> int:
    """The number of nodes whose incoming edges add up to `edges` (2 + 3 + ...): 14 -> 4."""
    nodes = (math.isqrt(9 + 8 * edges) - 3) // 2
    if not nodes or nodes * (nodes + 3) // 2 != edges:
        raise ValueError(
            f"{edges} edges fit no cell: nodes have 2, 3, 4, ... predecessors, so 2, 5, 9, 14, 20, ... edges"
        )
    return nodes


def node_slices(nodes: int) -> list[slice]:
    """The rows of alpha and beta that belong to each node: slices of 2, 3, 4, 5, ... edges."""
    starts = [i * (i + 3) // 2 for i in range(nodes + 1)]
    return [slice(starts[i], starts[i + 1]) for i in range(nodes)]


def _derive_cell(kind: str, raw_alpha: Any, raw_beta: Any, primitives: Sequence[str]) -> tuple[Edge, ...]:
    import torch

    alpha_EO = _read_values(f"alpha_{kind}", raw_alpha)
    if alpha_EO.ndim != 2 or alpha_EO.shape[1] != len(primitives):
        shape = f"(edges, {len(primitives)}), one column an operation"
        raise ValueError(f"alpha_{kind} must be {shape}; got {tuple(alpha_EO.shape)}")
    beta_E = None if raw_beta is None else _read_values(f"beta_{kind}", raw_beta)
    if beta_E is not None and beta_E.shape != alpha_EO.shape[:1]:
        shape = f"({len(alpha_EO)},), one value an edge"
        raise ValueError(f"beta_{kind} must be {shape}; got {tuple(beta_E.shape)}")
    strength_EO = torch.softmax(alpha_EO, dim=-1)
    choices = [index for index, name in enumerate(primitives) if name != "none"]
    edges: list[Edge] = []
    for rows in node_slices(node_count(len(alpha_EO))):
        node_strength = strength_EO[rows]
        if beta_E is not None:
            node_strength = node_strength * torch.softmax(beta_E[rows], dim=0)[:, None]
        table = node_strength.tolist()
        # max() and sorted() keep the first of equals: lower operation, lower predecessor
        best = [max(choices, key=lambda o, row=row: row[o]) for row in table]  # type: ignore[misc]
        strongest = sorted(range(len(table)), key=lambda e: -table[e][best[e]])[:2]
        edges.extend((primitives[best[e]], e) for e in strongest)
    return tuple(edges)


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


def _read_cell(name: str, value: Any) -> tuple[Edge, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or len(value) % 2:
        raise ValueError(f"{name} must be a list of [operation, predecessor] pairs, two a node")
    edges: list[Edge] = []
    for i, pair in enumerate(value):
        where, node = f"{name}[{i}]", i // 2
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f'{where} must be [operation, predecessor], such as ["sep_conv_3x3", 0]')
        operation, predecessor = pair
        if operation not in DARTS_PRIMITIVES:
            from pcdarts_tune.core.ops import require_operation

            require_operation(operation, f"{where}: ")
        if type(predecessor) is not int or not 0 <= predecessor < node + 2:
            legal = f"0..{node + 1} (node {node} has {node + 2})"
            raise ValueError(f"{where}: predecessor {predecessor!r} must be {legal}")
        edges.append((operation, predecessor))
    return tuple(edges)


def _read_concat(name: str, value: Any, nodes: int) -> tuple[int, ...]:
    listed = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    legal = listed and all(type(i) is int and 0 <= i < nodes + 2 for i in value)
    if not legal or len(set(value)) != len(value):
        raise ValueError(f"{name} must list different states, each 0..{nodes + 1}; got {value!r}")
    return tuple(value)


def random_genotype(seed: int, *, nodes: int = 4, primitives: Sequence[str] = DARTS_PRIMITIVES) -> Genotype:
    """Draw both cells uniformly, as the random-search baselines in DARTS's space do (Li & Talwalkar 2019,
    arXiv 1902.07638): for each node one of all pairs of different predecessors, and on each of the two edges one of all
    operations but `none`. All nodes make up a cell's output. The same seed gives the same genotype on every machine.

    Raises:
        ValueError: when there is no operation but `none`.
    """
    operations = [name for name in primitives if name != "none"]
    if not operations:
        raise ValueError("a genotype needs at least one operation other than 'none'")
    generator = random.Random(seed)

    def cell() -> tuple[Edge, ...]:
        edges: list[Edge] = []
        for node in range(nodes):
            predecessors = sorted(generator.sample(range(node + 2), 2))
            edges += [(generator.choice(operations), predecessor) for predecessor in predecessors]
        return tuple(edges)

    concat = tuple(range(2, nodes + 2))
    return Genotype(cell(), concat, cell(), concat)


def _published(
    normal: str,
    reduce: str,
    normal_concat: tuple[int, ...] = (2, 3, 4, 5),
    reduce_concat: tuple[int, ...] = (2, 3, 4, 5),
) -> Genotype:
    """A genotype whose cells are written as `operation:predecessor`, edge by edge."""

    def cell(text: str) -> tuple[Edge, ...]:
        return tuple(
            (name, int(source)) for name, _, source in (edge.partition(":") for edge in text.split())
        )

    return Genotype(cell(normal), normal_concat, cell(reduce), reduce_concat)


PUBLISHED: dict[str, Genotype] = {
    "NASNet": _published(
        "sep_conv_5x5:1 sep_conv_3x3:0 sep_conv_5x5:0 sep_conv_3x3:0 avg_pool_3x3:1 skip_connect:0 "
        "avg_pool_3x3:0 avg_pool_3x3:0 sep_conv_3x3:1 skip_connect:1",
        "sep_conv_5x5:1 sep_conv_7x7:0 max_pool_3x3:1 sep_conv_7x7:0 avg_pool_3x3:1 sep_conv_5x5:0 "
        "skip_connect:3 avg_pool_3x3:2 sep_conv_3x3:2 max_pool_3x3:1",
        (2, 3, 4, 5, 6),
        (4, 5, 6),
    ),
    "AmoebaNet": _published(
        "avg_pool_3x3:0 max_pool_3x3:1 sep_conv_3x3:0 sep_conv_5x5:2 sep_conv_3x3:0 avg_pool_3x3:3 "
        "sep_conv_3x3:1 skip_connect:1 skip_connect:0 avg_pool_3x3:1",
        "avg_pool_3x3:0 sep_conv_3x3:1 max_pool_3x3:0 sep_conv_7x7:2 sep_conv_7x7:0 avg_pool_3x3:1 "
        "max_pool_3x3:0 max_pool_3x3:1 conv_7x1_1x7:0 sep_conv_3x3:5",
        (4, 5, 6),
        (3, 4, 6),
    ),
    "DARTS_V1": _published(
        "sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:0 sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 skip_connect:2",
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:0 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 avg_pool_3x3:0",
    ),
    "DARTS_V2": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
        "skip_connect:0 dil_conv_3x3:2",
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 max_pool_3x3:1",
    ),
    "PC_DARTS_cifar": _published(
        "sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:0 dil_conv_3x3:1 sep_conv_5x5:0 sep_conv_3x3:1 "
        "avg_pool_3x3:0 dil_conv_3x3:1",
        "sep_conv_5x5:1 max_pool_3x3:0 sep_conv_5x5:1 sep_conv_5x5:2 sep_conv_3x3:0 sep_conv_3x3:3 "
        "sep_conv_3x3:1 sep_conv_3x3:2",
    ),
    "PC_DARTS_image": _published(
        "skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:0 skip_connect:1 sep_conv_3x3:1 sep_conv_3x3:3 "
        "sep_conv_3x3:1 dil_conv_5x5:4",
        "sep_conv_3x3:0 skip_connect:1 dil_conv_5x5:2 max_pool_3x3:1 sep_conv_3x3:2 sep_conv_3x3:1 "
        "sep_conv_5x5:0 sep_conv_3x3:3",
    ),
}
"""The published cells, by the names of the code that published them: NASNet (Zoph et al. 2018), AmoebaNet (Real et al. 2018),
DARTS (Liu et al. 2019), PC-DARTS (Xu et al. 2020)."""
