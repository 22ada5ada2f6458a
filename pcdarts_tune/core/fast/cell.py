"""A cell of the fast supernet: the mathematics of the textbook's `Cell` in few, large kernels, for all families.

In each round (`wiring.plan_rounds`) all edges of the sources are computed at once, exactly (tests/core/test_supernet.py):

- one ReLU, one max pool and one average pool a source, with one BatchNorm each; convolutions stacked (`stacked.py`);
- the sum over edges and operations of w[e, o] * BN(y[e, o]) is BN(y) @ M, and BatchNorm folds into M (`normalize.py`);
- active channels are taken, and nodes put together and shuffled, by matrices too (`wiring.py`); `none` costs nothing.

Legend: N batch, P = N H W pixels (P' after halving), S sources and T target nodes of the round, E = S T edges, c = C/K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.fast import stacked, wiring
from pcdarts_tune.core.fast.normalize import combine, folds, mix, pixels, unpixels
from pcdarts_tune.core.fast.stacked import Kernels, StackedConv, StackedDense, StackedNorm, StackedReduce
from pcdarts_tune.core.fast.wiring import Places, Round, RoundWeights, Wires, place_operation, round_weights
from pcdarts_tune.core.mixing import sample_order
from pcdarts_tune.core.ops import FactorizedReduce, OpSequence, build_search_operation, require_even
from pcdarts_tune.core.skeletons.plan import CellPlan, Searched

CONVOLUTIONS = {
    "sep_conv_3x3": [(3, 1), (3, 1)],
    "sep_conv_5x5": [(5, 1), (5, 1)],
    "sep_conv_7x7": [(7, 1), (7, 1)],
    "dil_conv_3x3": [(3, 2)],
    "dil_conv_5x5": [(5, 2)],
}
"""Kernel size and dilation of each separable convolution of an operation."""

DENSE = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
"""Kernel size of an operation's convolution of all channels.

These operations, the separable ones, the pools, `skip_connect` and `none` have a stacked form; any other registered one runs as
one module an edge.
"""

POOLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "max_pool_3x3": lambda x, stride: F.max_pool2d(x, 3, stride, padding=1),
    "avg_pool_3x3": lambda x, stride: F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False),
}


class Branch(NamedTuple):
    """What an operation sends in a round: y (N, C, H', W'), the BatchNorm it still needs, and that one's rows of edges.

    C = S c where all edges of a source share it, else E c.
    """

    y: Tensor
    rows: slice
    norm: StackedNorm | None = None


class FastCell(nn.Module):
    """A cell of computed nodes.

    Args:
        nodes: how many are computed.
        preprocess: what brings each input to the cell's number of channels. The inputs come after the ReLU that these begin
            with, and the output concatenates the nodes. Without any, the cell has one input, taken as it is, and its last
            node is its output.
    """

    select: Tensor
    place: Tensor
    bypass: Tensor
    edge_order: Tensor

    def __init__(
        self, plan: CellPlan, given: Searched, nodes: int, preprocess: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        k, mixing, primitives = given.k, given.mixing, given.primitives
        self.k, self.reduction, self.inputs = k, plan.reduction, max(1, len(preprocess))
        self.sampled = mixing == "random" and k > 1
        self.active = plan.channels // k
        self.primitives = tuple(primitives)
        # edges that share a source lie side by side; where each has its own operations, one source a round keeps it so
        joined = not self.sampled and given.edge_primitives is None
        self.rounds = wiring.plan_rounds(nodes, self.inputs, join_inputs=joined)
        # a list as index would be copied to the device in every step, for which a GPU waits
        order = [edge for r in self.rounds for edge in r.published]
        self.register_buffer("edge_order", torch.tensor(order), persistent=False)
        wires = wiring.fixed_wires(plan.channels, k, "shift" if self.sampled else mixing)
        for name, values in wires._asdict().items():
            self.register_buffer(name, values, persistent=False)
        for side, module in enumerate(preprocess):
            self.add_module(f"preprocess{side}", module)
        self._preprocess = list(preprocess)
        self._names = [given.of_edge(plan.kind, edge) for edge in range(self.rounds[-1].rows.stop)]
        self._places: dict[str, Places] = {
            name: place_operation(self.rounds, lambda edge, name=name: name in self._names[edge])  # type: ignore[misc]
            for name in self.primitives
        }
        self._stages: dict[str, list[StackedConv | StackedDense]] = {}
        self._norms: dict[str, StackedNorm] = {}
        self._unfused: dict[str, list[nn.Module]] = {}
        for name, places in self._places.items():
            edges = places.edges
            if not edges:
                continue
            if name in CONVOLUTIONS:
                self._stages[name] = [StackedConv(edges, self.active, *kind) for kind in CONVOLUTIONS[name]]
            elif name in DENSE:
                self._stages[name] = [StackedDense(edges, self.active, DENSE[name])]
            elif name in POOLS:
                self._norms[name] = StackedNorm(edges, self.active)
            elif name not in ("none", "skip_connect"):
                pairs = zip(self.rounds, places.kept, strict=True)
                strides = [self._stride(r) for r, kept in pairs for _ in kept]
                self._unfused[name] = [build_search_operation(name, self.active, s) for s in strides]
        self.convolutions = nn.ModuleDict({name: nn.ModuleList(m) for name, m in self._stages.items()})
        self.pools = nn.ModuleDict(self._norms)
        self.unfused = nn.ModuleDict({name: nn.ModuleList(m) for name, m in self._unfused.items()})
        halving = [index for index, r in enumerate(self.rounds) if self._stride(r) == 2]
        skips = self._places.get("skip_connect")
        halved = 0 if skips is None else sum(len(skips.kept[index]) for index in halving)
        self.reduce = StackedReduce(halved, self.active) if halved else None

    def _stride(self, r: Round) -> int:
        return 2 if self.reduction and r.sources[0] < self.inputs else 1

    def forward(
        self, s0: Tensor, s1: Tensor, weights: Sequence[RoundWeights], *, relu: bool = False
    ) -> Tensor:
        """s0, s1 (N, C_prev, H, W) and the mixing weights by round, to (N, C_out, H', W').

        `relu`: apply the ReLU that the readers of the output begin with.
        """
        pairs = zip(self._preprocess, (s0, s1), strict=True) if self._preprocess else ()
        states = [_after_relu(module, s) for module, s in pairs] or [s1]
        if self.reduction:
            require_even(states[0])
        wires: list[Wires] = []
        # what each state sends past the operations: itself, halved where the cell halves
        passed: list[Tensor] = []
        kernels = {}
        for name, stages in self._stages.items():
            counts = [len(kept) for kept in self._places[name].kept]
            kernels[name] = [stage.kernels(counts) for stage in stages]
        # sums over the operations (P', nodes c), by group of sources with the same wires
        sent: list[Tensor] = []
        for index, (r, w) in enumerate(zip(self.rounds, weights, strict=True)):
            of_round = {name: [stage[index] for stage in stages] for name, stages in kernels.items()}
            sources = [states[s] for s in r.sources]
            wires += [self._wires(source) for source in sources]
            halves = self._stride(r) == 2
            passed += [pixels(F.max_pool2d(source, 2, 2) if halves else source) for source in sources]
            active = self._select(sources, wires[r.sources[0] :])
            before = sent[0] if sent and not self.sampled else None
            mixed, shape = self._mix(index, w, active, of_round, before)
            sent = [*sent, mixed] if self.sampled else [mixed]
            if r.into is not None:
                states.append(unpixels(self._node(r.targets.start, w, wires, sent, passed), shape))
        out = torch.cat(states[self.inputs :], dim=1) if self._preprocess else states[-1]
        return torch.relu_(out) if relu else out

    def _select(self, sources: Sequence[Tensor], wires: Sequence[Wires]) -> Tensor:
        """The active channels of the sources, side by side: (N, S c, H, W)."""
        if self.k == 1 and len(sources) == 1:
            return sources[0]
        select = torch.block_diag(*(w.select for w in wires))
        taken = combine([pixels(source) for source in sources], select)
        return unpixels(taken, sources[0].shape)

    def _node(
        self, node: int, w: RoundWeights, wires: list[Wires], sent: list[Tensor], passed: list[Tensor]
    ) -> Tensor:
        """A finished node (P', C)."""
        assert w.edges is not None, "the round completes this node"
        matrix = w.node
        if matrix is None:
            matrix = wiring.node_matrix(node, self.rounds[0].targets.stop, wires, range(len(wires)), w.edges)
        return combine([*sent, *(passed if self.k > 1 else [])], matrix)

    def lay_out(self, operations_EO: Tensor, edges_E: Tensor) -> list[RoundWeights]:
        """The weights of its kind of cell (`architecture.mixing_weights`), edges in the paper's order, as matrices by round;
        the same for all cells of a kind with as many active channels."""
        wires = self.wires()
        return round_weights(
            self.rounds,
            self._places,
            self.shares,
            wires,
            operations_EO[self.edge_order],
            edges_E,
            self.active,
        )

    def wires(self) -> Wires | None:
        """The wires of every state; None where each state's are sampled."""
        return None if self.sampled else Wires(self.select, self.place, self.bypass)

    def _wires(self, state: Tensor) -> Wires:
        return self.wires() or wiring.sampled_wires(sample_order(state, self.training), self.k, self.select)

    def shares(self, name: str, r: Round) -> bool:
        """Whether an operation gives one output for all edges of a source: pools, and skips that keep the size.

        In evaluation each edge's pool has running statistics of its own (brought-in weights need not agree).
        """
        return (name in POOLS and self.training) or (name == "skip_connect" and self._stride(r) == 1)

    def _mix(
        self,
        index: int,
        w: RoundWeights,
        x: Tensor,
        kernels: Mapping[str, list[Kernels]],
        before: Tensor | None,
    ) -> tuple[Tensor, torch.Size]:
        """`before` plus what the round's sources send: x (N, S c, H, W) to (P', nodes c); and (N, _, H', W')."""
        branches = list(self._branches(index, x, kernels))
        shape = branches[0].y.shape
        if not (self.training and folds(x)):
            ys = [b.y if b.norm is None else b.norm(b.y, b.rows) for b in branches]
            return combine([pixels(y) for y in ys], w.operations, before), shape
        ys = [pixels(b.y) for b in branches]
        out, *statistics = mix(before, ys, w.operations, [b.norm is not None for b in branches])
        parts = zip(*(values.split([y.shape[1] for y in ys]) for values in statistics), strict=True)
        for b, (mean, variance) in zip(branches, parts, strict=True):
            if b.norm is not None:
                b.norm.track(mean, variance, len(out), b.rows)
        return out, shape

    def _branches(self, index: int, x: Tensor, kernels: Mapping[str, list[Kernels]]) -> Iterator[Branch]:
        """What each operation but `none` sends in a round, in the order of the primitives."""
        r = self.rounds[index]
        stride, groups = self._stride(r), len(r.sources)
        rectified = torch.relu(x)
        for name, places in self._places.items():
            edges, rows = len(places.kept[index]), places.rows[index]
            if not edges:
                continue
            if name in self._stages:
                first, *others = self._stages[name]
                y, norm = first.convolve(rectified, kernels[name][0], groups, stride), first.norm
                for stage, kernel in zip(others, kernels[name][1:], strict=True):
                    y, norm = stage.convolve(norm(y, rows, relu=True), kernel, edges, 1), stage.norm
                yield Branch(y, rows, norm)
            elif name in POOLS:
                y = POOLS[name](x, stride)
                if not self.shares(name, r):
                    y = stacked.repeat_groups(y, groups, edges // groups)
                yield Branch(y, rows, self._norms[name])
            elif name == "skip_connect" and self.shares(name, r):
                yield Branch(x, rows)
            elif name == "skip_connect":
                assert self.reduce is not None
                yield Branch(self.reduce(rectified, rows, groups), rows, self.reduce.norm)
            elif name != "none":
                inputs_E = [part for part in x.chunk(groups, dim=1) for _ in range(edges // groups)]
                modules = self._unfused[name][rows]
                outputs_E = [module(part) for module, part in zip(modules, inputs_E, strict=True)]
                yield Branch(torch.cat(outputs_E, dim=1), rows)

    def published(self) -> Iterator[tuple[str, Tensor]]:
        """(name, view) of every weight and running statistic that this cell stores stacked, as published."""
        for index, r in enumerate(self.rounds):
            for number, edge in enumerate(r.published):
                for o, name in enumerate(self._names[edge]):
                    places = self._places[name]
                    row = places.rows[index].start + places.kept[index].index(number)
                    for suffix, view in self._published_operation(name, row, r):
                        yield f"_ops.{edge}._ops.{o}.{suffix}", view
        for side, module in enumerate(self._preprocess):
            for suffix, value in module.state_dict(keep_vars=True).items():
                yield f"preprocess{side}.{suffix}", value

    def _published_operation(self, name: str, row: int, r: Round) -> Iterator[tuple[str, Tensor]]:
        if name in self._stages:
            for stage, first in zip(self._stages[name], (1, 5), strict=False):
                yield from stage.published(row, first)
        elif name in POOLS:
            yield from stacked.published_norm(self._norms[name], row, "1")
        elif name == "skip_connect" and not self.shares(name, r):
            assert self.reduce is not None
            yield from self.reduce.published(row)
        elif name in self._unfused:
            yield from self._unfused[name][row].state_dict(keep_vars=True).items()


def _after_relu(preprocess: nn.Module, x: Tensor) -> Tensor:
    """Run a preprocessing whose leading ReLU has been applied already."""
    if isinstance(preprocess, OpSequence):
        return preprocess.op[2](preprocess.op[1](x))  # type: ignore[no-any-return]
    assert isinstance(preprocess, FactorizedReduce)
    first, second = (conv.weight[None, :, :, 0, 0] for conv in (preprocess.conv_1, preprocess.conv_2))
    return preprocess.bn(stacked.halve(x, first, second, 1))  # type: ignore[no-any-return]
