"""What all networks have around their cells: stems, and a supernet's alphas and betas.

Together alphas and betas say how much an operation counts (PC-DARTS, sections 3.2 and 3.3):

    weight of operation o on edge e = softmax(alpha)[e, o] * softmax_per_node(beta)[e]

Operations that an edge does not have are barred from its softmax.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.cells.candidates import EdgePrimitives, excluded_operations
from pcdarts_tune.core.cells.selecting import all_edges
from pcdarts_tune.core.genotype import (
    AnyGenotype,
    Family,
    derive,
    family_named,
    node_count,
    node_slices,
)


def architecture_names(family: Family) -> list[str]:
    """alpha_<kind> of all kinds of cells, then beta_<kind>: alpha_normal, alpha_reduce, beta_normal, beta_reduce of DARTS."""
    return [f"{letter}_{kind}" for letter in ("alpha", "beta") for kind in family.kinds]


class SearchedNetwork(nn.Module):
    """What both forms of the supernet share: alphas and betas, Parameters in its state, but not among its weights.

    Those of the family `darts` are `alpha_normal`, `alpha_reduce`, `beta_normal` and `beta_reduce`, those of `nasbench201`
    `alpha_cell` and `beta_cell`; betas are None without edge normalisation.

    Buffers `barred_<kind>` (E, O), added to the alphas, are -inf for the operations that an edge does not have; None where
    all edges have all. Once a cell is selected by perturbation (`perturbation.py`), the weights of operations are multiplied by
    `present_<kind>` (E, O) and those of edges by `counted_<kind>` (E,), ones or zeros. With a `temperature` each pass samples one
    operation an edge instead of mixing them (GDAS).
    """

    family: Family
    primitives: Sequence[str]
    temperature: Tensor | None
    alpha_normal: nn.Parameter
    alpha_reduce: nn.Parameter
    beta_normal: nn.Parameter | None
    beta_reduce: nn.Parameter | None

    def add_architecture(
        self,
        family: str,
        nodes: int,
        edge_normalization: bool,
        edge_primitives: EdgePrimitives | None = None,
    ) -> None:
        """Draw alpha_* (E, O) and beta_* (E,) from 1e-3 * N(0, 1); betas are None without edge normalisation."""
        self.family = family_named(family)
        edges = all_edges(self.family, nodes)
        self._excluded: dict[str, list[list[bool]] | None] = {}
        self.register_buffer("temperature", None, persistent=False)
        for name in architecture_names(self.family):
            shape = (edges, len(self.primitives)) if name.startswith("alpha") else (edges,)
            left_out = name.startswith("beta") and not edge_normalization
            self.register_parameter(name, None if left_out else nn.Parameter(1e-3 * torch.randn(shape)))
        for kind in self.family.kinds:
            self._excluded[kind] = excluded_operations(edge_primitives, kind, self.primitives)
            self._bar(kind, self._excluded[kind])
            for name in ("present", "counted"):
                self.register_buffer(f"{name}_{kind}", None, persistent=False)

    def _bar(self, kind: str, excluded_EO: list[list[bool]] | None) -> None:
        barred = None
        if excluded_EO is not None:
            alpha_EO = self.alphas()[kind]
            excluded = torch.tensor(excluded_EO, device=alpha_EO.device)
            barred = torch.zeros_like(alpha_EO, requires_grad=False).masked_fill(excluded, -torch.inf)
        self.register_buffer(f"barred_{kind}", barred, persistent=False)

    def alphas(self) -> dict[str, nn.Parameter]:
        """Alphas (E, O) by kind of cell."""
        return {kind: getattr(self, f"alpha_{kind}") for kind in self.family.kinds}

    def betas(self) -> dict[str, nn.Parameter | None]:
        """Betas (E,) by kind of cell; None without edge normalisation."""
        return {kind: getattr(self, f"beta_{kind}") for kind in self.family.kinds}

    def arch_parameters(self) -> list[nn.Parameter]:
        """All alphas and then, with edge normalisation, all betas, in the order of the family's kinds of cells."""
        values = (getattr(self, name) for name in architecture_names(self.family))
        return [value for value in values if value is not None]

    def weight_parameters(self) -> list[nn.Parameter]:
        """Every parameter that is not an alpha or a beta."""
        names = architecture_names(self.family)
        return [value for name, value in self.named_parameters() if name not in names]

    def genotype(self, *, max_skip_connections: int | None = None) -> AnyGenotype:
        """The genotype that alphas and betas give now, see `genotype.derive`."""
        return derive(
            self.family,
            self.alphas(),
            self.betas(),
            self.primitives,
            max_skip_connections=max_skip_connections,
            excluded=self.excluded(),
        )

    def excluded(self) -> dict[str, list[list[bool]]]:
        """(E, O) by kind of cell: the operations that a genotype cannot take; kinds without any are left out."""
        found = {}
        for kind in self.family.kinds:
            barred, counted = getattr(self, f"barred_{kind}"), getattr(self, f"counted_{kind}")
            if barred is not None:
                out = barred < 0 if counted is None else (barred < 0) | (counted[:, None] == 0)
                found[kind] = out.tolist()
        return found

    def _logits(self) -> dict[str, Tensor]:
        """Alphas, -inf where an edge does not have the operation, (E, O), by kind of cell."""
        found: dict[str, Tensor] = {}
        for kind, alpha_EO in self.alphas().items():
            barred = getattr(self, f"barred_{kind}")
            found[kind] = alpha_EO if barred is None else alpha_EO + barred
        return found

    def softmaxed_alphas(self) -> dict[str, Tensor]:
        """Softmax of the alphas over each edge's operations, (E, O), by kind of cell."""
        found = {}
        for kind, logits_EO in self._logits().items():
            present = getattr(self, f"present_{kind}")
            weights_EO = torch.softmax(logits_EO, dim=-1)
            found[kind] = weights_EO if present is None else weights_EO * present
        return found

    def sample_operations(self, temperature: float) -> None:
        """From now on sample one operation an edge in each training pass, the same in all cells of a kind.

        One-hot of argmax(alpha + g), g drawn from Gumbel(0, 1), with the gradient of softmax((alpha + g) / temperature) (GDAS,
        Dong & Yang, CVPR 2019, section 3.2). In evaluation mode the likeliest is taken.
        """
        alpha_EO = next(iter(self.alphas().values()))
        if self.temperature is None:
            self.register_buffer("temperature", alpha_EO.new_zeros(()), persistent=False)
        assert self.temperature is not None
        self.temperature.fill_(temperature)  # in place, for steps that are replayed

    def operation_weights(self) -> dict[str, Tensor]:
        """What each operation's output is multiplied by, (E, O), by kind of cell."""
        if self.temperature is None:
            return self.softmaxed_alphas()
        found = {}
        for kind, logits_EO in self._logits().items():
            if self.training:
                # the function divides by it, so that a tensor does as well as a number
                found[kind] = F.gumbel_softmax(logits_EO, self.temperature, hard=True)  # type: ignore[arg-type]
            else:
                found[kind] = F.one_hot(logits_EO.argmax(dim=-1), logits_EO.shape[1]).to(logits_EO.dtype)
        return found

    def edge_weights(self) -> dict[str, Tensor | None]:
        """What each edge's output is multiplied by, (E,), by kind of cell; None for nothing."""
        found = self.softmaxed_betas()
        for kind in found:
            counted, beta_E = getattr(self, f"counted_{kind}"), found[kind]
            if counted is not None:
                found[kind] = counted if beta_E is None else beta_E * counted
        return found

    def open_selection(self) -> None:
        """Let single operations and edges be left out from now on; none is yet."""
        for kind, alpha_EO in self.alphas().items():
            everywhere = [[False] * len(self.primitives)] * len(alpha_EO)
            self._bar(kind, self._excluded[kind] or everywhere)
            ones_EO = torch.ones_like(alpha_EO, requires_grad=False)
            self.register_buffer(f"present_{kind}", ones_EO, persistent=False)
            self.register_buffer(f"counted_{kind}", ones_EO[:, 0].clone(), persistent=False)

    @contextmanager
    def without_operation(self, kind: str, edge: int, operation: str) -> Iterator[None]:
        """With an operation's weight set to 0 on an edge, the others' as they are."""
        with _zero(getattr(self, f"present_{kind}")[edge], list(self.primitives).index(operation)):
            yield

    @contextmanager
    def without_edge(self, kind: str, edge: int) -> Iterator[None]:
        """Without an edge, its bypassed channels too."""
        with _zero(getattr(self, f"counted_{kind}"), edge):
            yield

    def keep_operation(self, kind: str, edge: int, operation: str) -> None:
        """Bar all operations but this one from an edge, so that it has weight 1."""
        others = [o for o, name in enumerate(self.primitives) if name != operation]
        getattr(self, f"barred_{kind}")[edge, others] = -torch.inf

    def drop_edges(self, kind: str, edges: Sequence[int]) -> None:
        """Leave edges out for good, with their bypassed channels."""
        getattr(self, f"counted_{kind}")[list(edges)] = 0

    def softmaxed_betas(self) -> dict[str, Tensor | None]:
        """Softmax of the betas over each node's edges, by kind of cell."""
        inputs = len(self.family.inputs)
        return {
            kind: None if beta_E is None else softmax_per_node(beta_E, inputs)
            for kind, beta_E in self.betas().items()
        }


@contextmanager
def _zero(values: Tensor, place: int) -> Iterator[None]:
    before = float(values[place])
    values[place] = 0
    try:
        yield
    finally:
        values[place] = before


def softmax_per_node(beta_E: Tensor, inputs: int = 2) -> Tensor:
    """Softmax over each node's incoming edges: slices of `inputs`, `inputs` + 1, ... of `beta_E`."""
    slices = node_slices(node_count(len(beta_E), inputs), inputs)
    return torch.cat([torch.softmax(beta_E[rows], dim=0) for rows in slices])


def mixing_weights(operations_EO: Tensor, edges_E: Tensor | None) -> tuple[Tensor, Tensor]:
    """The weights of a cell kind: operations (E, O), those of the edges folded in, and bypassed channels (E,).

    Args:
        operations_EO: softmaxed alphas.
        edges_E: softmaxed betas, or None without edge normalisation.
    """
    if edges_E is None:
        return operations_EO, operations_EO.new_ones(len(operations_EO))
    return operations_EO * edges_E[:, None], edges_E


def check_sizes(
    family: Family,
    channels: int,
    layers: int,
    num_classes: int,
    *,
    stem: str,
    in_channels: int,
    nodes: int = 4,
) -> None:
    """Refuse sizes for which no network of the family's cells is defined.

    Raises:
        ValueError: naming the argument, its value and what is legal.
    """
    of_family = "" if family.name == "darts" else f" in the family {family.name}"
    for name, value, least in (
        ("channels", channels, 1),
        ("layers", layers, 3),
        ("num_classes", num_classes, 2),
        ("in_channels", in_channels, 1),
        ("nodes", nodes, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            why = "; with fewer some kind of layer would not exist" if name == "layers" else ""
            raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}{why}")
    if stem not in family.stems:
        raise ValueError(f"stem must be one of {', '.join(family.stems)}{of_family}; got {stem!r}")
    if family.fixed_nodes not in (None, nodes):
        raise ValueError(f"nodes must be {family.fixed_nodes}{of_family}; got {nodes!r}")


def add_stem(net: nn.Module, stem: str, in_channels: int, out_channels: int) -> None:
    """The convolutions before the first cell, under the published names `stem` or `stem0` and `stem1`."""

    def conv_bn(c_in: int, c_out: int, stride: int) -> tuple[nn.Module, nn.Module]:
        return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(c_out)

    if stem == "cifar":
        net.stem = nn.Sequential(*conv_bn(in_channels, out_channels, 1))
        return
    half = out_channels // 2
    net.stem0 = nn.Sequential(*conv_bn(in_channels, half, 2), nn.ReLU(), *conv_bn(half, out_channels, 2))
    net.stem1 = nn.Sequential(nn.ReLU(), *conv_bn(out_channels, out_channels, 2))


def apply_stem(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The two inputs of the first cell."""
    stems = dict(net.named_children())
    if "stem" in stems:
        s = stems["stem"](images)
        return s, s
    s0 = stems["stem0"](images)
    return s0, stems["stem1"](s0)
