"""Genotypes: what a search ends in, and how it is derived from alphas and betas.

A genotype names, for each node of the normal and of the reduction cell, the two incoming edges that stay and the
operation on each. Derivation (spec section 4; DARTS section 2.4; PC-DARTS section 3.3):

    S = softmax(alpha) * softmax_per_node(beta),   strength(edge) = max over operations other than `none` of S

    >>> PUBLISHED["PC_DARTS_cifar"].canonical_hash()

Genotypes drawn at random: the baseline that a search has to beat.

The draw is the one of random-search baselines in DARTS's space (Li & Talwalkar 2019, arXiv 1902.07638): for each node
two different predecessors, each pair as likely as any other, and on each of the two edges one operation, each as
likely as any other. `none` is left out, because a derived cell never has it.

>>> random_genotype(seed=0).canonical_hash()
"""

from __future__ import annotations

import difflib
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.published import CELLS

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
        if not isinstance(mapping, Mapping):
            raise ValueError(
                f"a genotype is a JSON object with {', '.join(fields)}; this is {_kind(mapping)}"
            )
        missing = [name for name in fields if name not in mapping]
        if missing:
            raise ValueError(f"a genotype has the fields {', '.join(fields)}; missing: {', '.join(missing)}")
        if unknown := [str(name) for name in mapping if name not in fields]:
            raise ValueError(
                f"a genotype has only the fields {', '.join(fields)}; unknown: {', '.join(unknown)}"
            )
        cells = {name: _read_cell(name, mapping[name]) for name in ("normal", "reduce")}
        concats = {
            name: _read_concat(f"{name}_concat", mapping[f"{name}_concat"], len(cells[name]) // 2)
            for name in cells
        }
        return cls(cells["normal"], concats["normal"], cells["reduce"], concats["reduce"])

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
    cells: dict[str, tuple[Edge, ...]] = {}
    nodes = 0
    for kind, raw_alpha, raw_beta in (
        ("normal", alpha_normal, beta_normal),
        ("reduce", alpha_reduce, beta_reduce),
    ):
        alpha_EO, beta_E = _check(kind, raw_alpha, raw_beta, len(primitives))
        nodes = node_count(alpha_EO.shape[0])
        cells[kind] = _derive_cell(alpha_EO, beta_E, nodes, primitives)
    concat = tuple(range(2, nodes + 2))
    return Genotype(cells["normal"], concat, cells["reduce"], concat)


def node_count(edges: int) -> int:
    """The number of nodes whose incoming edges add up to `edges` (2 + 3 + ...): 14 -> 4."""
    nodes, total = 0, 0
    while total < edges:
        total += nodes + 2
        nodes += 1
    if total != edges or edges == 0:
        raise ValueError(
            f"{edges} edges fit no cell: nodes have 2, 3, 4, ... predecessors, so 2, 5, 9, 14, 20, ... edges"
        )
    return nodes


def node_slices(nodes: int) -> list[slice]:
    """The rows of alpha and beta that belong to each node: slices of 2, 3, 4, 5, ... edges."""
    starts = [i * (i + 3) // 2 for i in range(nodes + 1)]
    return [slice(starts[i], starts[i + 1]) for i in range(nodes)]


def _derive_cell(
    alpha_EO: Tensor, beta_E: Tensor | None, nodes: int, primitives: Sequence[str]
) -> tuple[Edge, ...]:
    import torch

    strength_EO = torch.softmax(alpha_EO, dim=-1)
    choices = [index for index, name in enumerate(primitives) if name != "none"]
    edges: list[Edge] = []
    for rows in node_slices(nodes):
        node_strength = strength_EO[rows]
        if beta_E is not None:
            node_strength = node_strength * torch.softmax(beta_E[rows], dim=0)[:, None]
        table = node_strength.tolist()
        # max() and sorted() keep the first of equals: lower operation, lower predecessor
        best = [max(choices, key=lambda o, row=row: row[o]) for row in table]  # type: ignore[misc]
        strongest = sorted(range(len(table)), key=lambda e: -table[e][best[e]])[:2]
        edges.extend((primitives[best[e]], e) for e in strongest)
    return tuple(edges)


def _check(kind: str, raw_alpha: Any, raw_beta: Any, operations: int) -> tuple[Tensor, Tensor | None]:
    alpha_EO = _float64(raw_alpha, f"alpha_{kind}")
    if alpha_EO.ndim != 2 or alpha_EO.shape[1] != operations:
        raise ValueError(
            f"alpha_{kind} must be (edges, {operations}), one column an operation; got {tuple(alpha_EO.shape)}"
        )
    beta_E = None if raw_beta is None else _float64(raw_beta, f"beta_{kind}")
    if beta_E is not None and beta_E.shape != alpha_EO.shape[:1]:
        raise ValueError(
            f"beta_{kind} must be ({alpha_EO.shape[0]},), one value an edge; got {tuple(beta_E.shape)}"
        )
    import torch

    for name, values in ((f"alpha_{kind}", alpha_EO), (f"beta_{kind}", beta_E)):
        if values is not None and not bool(torch.isfinite(values).all()):
            raise ValueError(
                f"{name} holds NaN or infinity: the search diverged; try a lower architecture learning rate"
            )
    return alpha_EO, beta_E


def _float64(raw: Any, name: str) -> Tensor:
    """Tensors, arrays, and lists of numbers, tensors or arrays, without losing what tells two values apart."""
    import torch

    try:
        if isinstance(raw, torch.Tensor):
            return raw.detach().cpu().double()
        if hasattr(raw, "tolist"):  # an array, whatever its strides and dtype
            return torch.tensor(raw.tolist(), dtype=torch.float64)
        rows = [row.tolist() if hasattr(row, "tolist") else row for row in raw]
        return torch.tensor(rows, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be a tensor, an array or nested lists of numbers: {error}") from None


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(
        type(value), "a number"
    )


def _read_cell(name: str, value: Any) -> tuple[Edge, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or len(value) % 2:
        raise ValueError(f"{name} must be a list of [operation, predecessor] pairs, two a node")
    edges: list[Edge] = []
    for i, pair in enumerate(value):
        where, node = f"{name}[{i}]", i // 2
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f'{where} must be [operation, predecessor], such as ["sep_conv_3x3", 0]')
        operation, predecessor = pair
        if not isinstance(operation, str) or operation not in DARTS_PRIMITIVES:
            _require_registered(operation, where)
        if (
            isinstance(predecessor, bool)
            or not isinstance(predecessor, int)
            or not 0 <= predecessor < node + 2
        ):
            raise ValueError(
                f"{where}: predecessor {predecessor!r} must be 0..{node + 1} (node {node} has {node + 2})"
            )
        edges.append((operation, predecessor))
    return tuple(edges)


def _require_registered(operation: object, where: str) -> None:
    from pcdarts_tune.core.ops import OPERATIONS

    if not isinstance(operation, str) or operation not in OPERATIONS:
        near = difflib.get_close_matches(str(operation), OPERATIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{where}: unknown operation {operation!r}; legal: {', '.join(sorted(OPERATIONS))}{hint}"
        )


def _read_concat(name: str, value: Any, nodes: int) -> tuple[int, ...]:
    legal = (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < nodes + 2 for i in value)
    )
    if not legal or len(set(value)) != len(value):
        raise ValueError(f"{name} must list different states, each 0..{nodes + 1}; got {value!r}")
    return tuple(value)


def _published(text: str) -> tuple[Edge, ...]:
    return tuple((name, int(index)) for name, _, index in (entry.partition(":") for entry in text.split()))


PUBLISHED: dict[str, Genotype] = {
    name: Genotype(_published(normal), normal_concat, _published(reduce), reduce_concat)
    for name, (normal, normal_concat, reduce, reduce_concat) in CELLS.items()
}
"""The published cells, by the names of the code that published them."""


def random_genotype(seed: int, *, nodes: int = 4, primitives: Sequence[str] = DARTS_PRIMITIVES) -> Genotype:
    """Draw both cells uniformly; the same seed gives the same genotype on every machine.

    Args:
        nodes: intermediate nodes of a cell; all of them make up its output.
        primitives: the operations to draw from.

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
