"""A cell of the fast supernet: the mathematics of `textbook.Cell` in few, large kernels.

The paper's cell visits 14 edges and 8 operations one by one. This one advances in rounds (`rounds.py`), and in a
round everything that leaves the source is done for all its edges at once. Each rewrite is exact, and proven so by
tests/core/test_supernet.py:

- one ReLU, one max pool and one average pool a source, with one BatchNorm each, instead of one an edge;
- each convolution stacked over the edges, depthwise and pointwise composed where that gains (`stacked.py`);
- softmax(alpha) times softmax(beta) as a matrix M that takes a round's channels to all target nodes:
  the sum over edges and operations of w[e, o] * BN(y[e, o]) is BN(y) @ M;
- the bypassed channels added, and the channels mixed, once a node instead of once an edge; `none` costs nothing.

Legend: N batch, P = N H W pixels, S sources and T target nodes of the round, E = S T edges, c = C/K.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.ops import FactorizedReduce, ReLUConvBN, build_search_operation, require_even
from pcdarts_tune.core.plan import CellPlan
from pcdarts_tune.core.rounds import Round, RoundWeights, plan_rounds
from pcdarts_tune.core.stacked import Kernels, StackedConv, StackedNorm, StackedReduce, published_norm
from pcdarts_tune.core.textbook import sample_order

SEPARABLE = {f"sep_conv_{k}x{k}": k for k in (3, 5, 7)}
DILATED = {f"dil_conv_{k}x{k}": k for k in (3, 5)}
POOLS = ("max_pool_3x3", "avg_pool_3x3")
FUSED = {"none", "skip_connect", *SEPARABLE, *DILATED, *POOLS}
"""Operations with a stacked form; any other registered one runs as one module an edge."""


class FastCell(nn.Module):
    """See `textbook.Cell`. Inputs come after the ReLU that both preprocessings begin with."""

    def __init__(self, plan: CellPlan, nodes: int, k: int, primitives: Sequence[str], mixing: str) -> None:
        super().__init__()
        self.k, self.mixing, self.reduction = k, mixing, plan.reduction
        self.sampled = mixing == "random" and k > 1
        self.active = plan.channels // k
        self.primitives = tuple(primitives)
        self.rounds = plan_rounds(nodes, join_inputs=not self.sampled)
        edges = self.rounds[-1].rows.stop
        self.preprocess0: nn.Module = (
            FactorizedReduce(plan.c_prev_prev, plan.channels, affine=False)
            if plan.reduction_prev
            else ReLUConvBN(plan.c_prev_prev, plan.channels, 1, 1, 0, affine=False)
        )
        self.preprocess1 = ReLUConvBN(plan.c_prev, plan.channels, 1, 1, 0, affine=False)
        self.convolutions = nn.ModuleDict()
        self.pools = nn.ModuleDict()
        self.unfused = nn.ModuleDict()
        for name in self.primitives:
            if name in SEPARABLE:
                stages = [StackedConv(edges, self.active, SEPARABLE[name]) for _ in range(2)]
                self.convolutions[name] = nn.ModuleList(stages)
            elif name in DILATED:
                self.convolutions[name] = nn.ModuleList(
                    [StackedConv(edges, self.active, DILATED[name], dilation=2)]
                )
            elif name in POOLS:
                self.pools[name] = StackedNorm(edges, self.active)
            elif name not in FUSED:
                strides = [self._stride(r) for r in self.rounds for _ in r.published]
                self.unfused[name] = nn.ModuleList(
                    build_search_operation(name, self.active, s) for s in strides
                )
        inputs = sum(len(r.published) for r in self.rounds if r.sources[0] < 2)
        self.reduce = (
            StackedReduce(inputs, self.active) if self.reduction and "skip_connect" in primitives else None
        )

    def _stride(self, r: Round) -> int:
        return 2 if self.reduction and r.sources[0] < 2 else 1

    def forward(self, s0: Tensor, s1: Tensor, weights: Sequence[RoundWeights]) -> Tensor:
        """s0, s1 (N, C_prev, H, W) after their ReLU and the mixing weights by round, to (N, nodes C, H', W')."""
        states = [_after_relu(self.preprocess0, s0), _after_relu(self.preprocess1, s1)]
        if self.reduction:
            require_even(states[0])
        rows = [r.rows.stop - r.rows.start for r in self.rounds]
        kernels = {name: [stage.kernels(rows) for stage in stages] for name, stages in self._convolutions()}
        mixed: Tensor | None = None  # (N, H, W, T c): what the rounds so far sent to the nodes still to come
        bypassed: list[Tensor | None] = [None] * len(self.rounds[0].targets)
        for index, (r, w) in enumerate(zip(self.rounds, weights, strict=True)):
            of_round = {name: [stage[index] for stage in stages] for name, stages in kernels.items()}
            sources = [states[s] for s in r.sources]
            order = sample_order(sources[0], self.training) if self.sampled else None
            if order is not None:
                sources = [source[:, order] for source in sources]
            # split, not sliced: its gradient is one concatenation instead of a padded copy for each part
            parts = [source.split([self.active, source.shape[1] - self.active], dim=1) for source in sources]
            active = torch.cat([part[0] for part in parts], dim=1)
            sent = self._mix(r, w, active, of_round, None if order is not None else mixed)
            rest = [self._halve(r, part[1]) for part in parts] if self.k > 1 else []
            if order is not None:
                # each source sampled its own channels: put them back before anything is added
                sent = _unsample(sent, rest[0], w.bypass[0], torch.argsort(order))
                mixed = sent if mixed is None else mixed + sent
                if r.completes:
                    complete, mixed = _take(mixed, len(order))
                    states.append(complete.permute(0, 3, 1, 2))
                continue
            for weights_T, x in zip(w.bypass, rest, strict=bool(rest)):
                for weight, node in zip(weights_T, r.targets, strict=True):
                    before = bypassed[node]
                    bypassed[node] = x * weight if before is None else torch.addcmul(before, x, weight)
            complete, mixed = _take(sent, self.active)
            states.append(self._arrange(complete, bypassed[r.targets[0]]))
        return torch.cat(states[2:], dim=1)

    def _convolutions(self) -> Iterator[tuple[str, list[StackedConv]]]:
        for name, stages in self.convolutions.items():
            yield name, [stage for stage in _listed(stages) if isinstance(stage, StackedConv)]

    def _halve(self, r: Round, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, 2) if self._stride(r) == 2 else x

    def _mix(
        self, r: Round, w: RoundWeights, x: Tensor, kernels: Mapping[str, list[Kernels]], mixed: Tensor | None
    ) -> Tensor:
        """`mixed` plus what the round's sources send: x (N, S c, H, W) to (N, H', W', T c)."""
        for y, matrix in self._branches(r, w, x, kernels):
            pixels = y.permute(0, 2, 3, 1)
            matrix = matrix.to(y.dtype)
            if mixed is None:
                mixed = pixels @ matrix
            else:
                flat = torch.addmm(mixed.flatten(0, 2), pixels.flatten(0, 2), matrix)
                mixed = flat.view(*pixels.shape[:3], -1)
        assert mixed is not None
        return mixed

    def _branches(
        self, r: Round, w: RoundWeights, x: Tensor, kernels: Mapping[str, list[Kernels]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Each operation's normalised outputs (N, S c or E c, H', W') with the matrix that sends them on."""
        stride, groups, edges = self._stride(r), len(r.sources), len(r.published)
        rectified, stages = torch.relu(x), dict(self._convolutions())
        for name in self.primitives:
            if name in self.convolutions:
                y, inputs = rectified, groups
                for index, stage in enumerate(stages[name]):
                    y = torch.relu_(y) if index else y
                    y = stage.convolve(y, kernels[name][index], inputs, 1 if index else stride)
                    y, inputs = stage.norm(y, r.rows), edges
                yield y, w.by_edge[name]
            elif name in self.pools:
                y = _norm(self.pools[name]).shared(_POOL[name](x, stride), r.rows, groups)
                yield y, (w.by_source if self.training else w.by_edge)[name]
            elif name == "skip_connect":
                if stride == 1:
                    yield x, w.by_source[name]
                else:
                    assert self.reduce is not None
                    yield self.reduce(rectified, r.rows, groups), w.by_edge[name]
            elif name in self.unfused:
                modules = _listed(self.unfused[name])[r.rows]
                inputs_E = [part for part in x.chunk(groups, dim=1) for _ in r.targets]
                yield (
                    torch.cat([m(part) for m, part in zip(modules, inputs_E, strict=True)], 1),
                    w.by_edge[name],
                )

    def _arrange(self, complete: Tensor, bypassed: Tensor | None) -> Tensor:
        """A finished node: the operated channels (N, H, W, c) among the bypassed ones (N, C - c, H, W).

        `textbook.mix_channels`, written so that the result stays in channels_last.
        """
        if bypassed is None:
            return complete.permute(0, 3, 1, 2)
        rest = bypassed.permute(0, 2, 3, 1)
        if self.mixing == "shift":
            return torch.cat([rest, complete], dim=-1).permute(0, 3, 1, 2)
        groups = rest.unflatten(-1, (self.k - 1, self.active)).unbind(-2)
        return torch.stack([complete, *groups], dim=-1).flatten(-2).permute(0, 3, 1, 2)

    def published(self) -> Iterator[tuple[str, Tensor]]:
        """(name, view) of every weight and running statistic that this cell stores stacked, as published."""
        for r in self.rounds:
            for edge, position in zip(range(r.rows.start, r.rows.stop), r.published, strict=True):
                for o, name in enumerate(self.primitives):
                    prefix = f"_ops.{position}._ops.{o}."
                    for suffix, view in self._published_operation(name, edge, r):
                        yield prefix + suffix, view
        for side, module in (("preprocess0", self.preprocess0), ("preprocess1", self.preprocess1)):
            yield from (
                (f"{side}.{suffix}", value) for suffix, value in module.state_dict(keep_vars=True).items()
            )

    def _published_operation(self, name: str, edge: int, r: Round) -> Iterator[tuple[str, Tensor]]:
        if name in self.convolutions:
            for stage, first in zip(dict(self._convolutions())[name], (1, 5), strict=False):
                yield from stage.published(edge, first)
        elif name in self.pools:
            yield from published_norm(_norm(self.pools[name]), edge, "1")
        elif name == "skip_connect" and self._stride(r) == 2:
            assert self.reduce is not None
            yield from self.reduce.published(edge)
        elif name in self.unfused:
            yield from _listed(self.unfused[name])[edge].state_dict(keep_vars=True).items()


def _listed(modules: nn.Module) -> list[nn.Module]:
    assert isinstance(modules, nn.ModuleList)
    return list(modules)


def _norm(module: nn.Module) -> StackedNorm:
    assert isinstance(module, StackedNorm)
    return module


def _max_pool(x: Tensor, stride: int) -> Tensor:
    return F.max_pool2d(x, 3, stride, padding=1)


def _avg_pool(x: Tensor, stride: int) -> Tensor:
    return F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)


_POOL = {"max_pool_3x3": _max_pool, "avg_pool_3x3": _avg_pool}


def _after_relu(preprocess: nn.Module, x: Tensor) -> Tensor:
    """Run a preprocessing whose leading ReLU has been applied already."""
    if isinstance(preprocess, ReLUConvBN):
        return preprocess.op[2](preprocess.op[1](x))  # type: ignore[no-any-return]
    return preprocess(x)  # type: ignore[no-any-return]  # FactorizedReduce: a second ReLU changes nothing


def _take(mixed: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The channels of the node that is complete, and those of the nodes still to come."""
    complete, coming = mixed.split([channels, mixed.shape[-1] - channels], dim=-1)
    return complete, coming


def _unsample(mixed: Tensor, rest: Tensor, weights_T: Tensor, back: Tensor) -> Tensor:
    """(N, H, W, T c) and (N, C - c, H, W) to (N, H, W, T C) with every channel in its own place again."""
    t = len(weights_T)
    passed = rest.permute(0, 2, 3, 1).unsqueeze(3) * weights_T[:, None]
    whole = torch.cat([mixed.unflatten(-1, (t, -1)), passed], dim=-1)[..., back]
    return whole.flatten(3)
