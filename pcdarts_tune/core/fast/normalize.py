"""BatchNorm (training, no scale, no shift) folded into what follows it, with gradients written out.

    y -> BatchNorm -> ReLU                        `normalize(y, relu=True)`
    sum over b of BatchNorm(y_b) @ M_b            `mix(before, branches)`

With a = (var + eps)^-1/2, BatchNorm(y) @ M = y @ (a M) - mean @ (a M): no normalised copy is made or kept. For g the
gradient of the sum and yn = (y - mean) a, all that BatchNorm's gradient needs falls out of the matrix's own,

    dM = yn^T g = a (y^T g - mean sum(g)),    mean(yn . (g M^T)) = rowsum(dM . M) / P,
    dy = a (g M^T - mean(g) M^T - yn rowsum(dM . M) / P).

Images are rows of pixels here. Legend: N batch, P = N H W pixels, C channels of a branch, D columns of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

WIDTH = 256
"""Few channels are viewed as about this many: PyTorch's CPU kernels are slow, and with threads slower still, on narrow rows."""


def pixels(y_NCHW: Tensor) -> Tensor:
    """(N, C, H, W) as (P, C); no copy where y is in channels_last."""
    return y_NCHW.permute(0, 2, 3, 1).flatten(0, 2)


def unpixels(y_PC: Tensor, shape: Sequence[int]) -> Tensor:
    """(P, C) as (N, C, H, W) in channels_last; `shape` gives N, H and W."""
    n, _, height, width = shape
    return y_PC.view(n, height, width, -1).permute(0, 3, 1, 2)


def channel_statistics(y_PC: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, (C,) each; in float32 where y has less.

    Raises:
        ValueError: for a single pixel, which has no variance.
    """
    if len(y_PC) < 2:
        raise ValueError(
            "BatchNorm needs more than one value a channel in training: use larger batches or images"
        )
    if y_PC.dtype in (torch.bfloat16, torch.float16):
        y_PC = y_PC.float()
    if y_PC.device.type != "cpu":
        variance, mean = torch.var_mean(y_PC, dim=0, correction=0)
        return mean, variance
    wide = lengthen_rows(y_PC)
    mean, variance = torch.batch_norm_update_stats(wide[..., None, None], None, None, 0.0)
    channels = y_PC.shape[1]
    if wide.shape[1] == channels:
        return mean, variance
    parts, within = mean.view(-1, channels), variance.view(-1, channels)
    between, mean = torch.var_mean(parts, dim=0, correction=0)
    return mean, within.mean(dim=0) + between


def lengthen_rows(y_PC: Tensor) -> Tensor:
    """The same numbers in longer rows: (P, C) as (P / r, r C), r a power of two that divides P."""
    rows, channels = y_PC.shape
    times = 1
    while 2 * times * channels <= WIDTH and rows % (2 * times) == 0:
        times *= 2
    return y_PC.reshape(rows // times, times * channels)


def tile(values_C: Tensor, like: Tensor) -> Tensor:
    """A row of values by channel, repeated to the row length of what `lengthen_rows` gave."""
    times = like.shape[1] // len(values_C)
    return values_C if times == 1 else values_C.expand(times, -1).reshape(-1)


EPSILON = 1e-5  # PyTorch's default for BatchNorm
FOLDED_ON = {"cpu"}
"""Devices where BatchNorm is folded: it is PyTorch's kernels for CPUs that are slow on few channels. Folded it takes about
twice as many launches, so CUDA gets PyTorch's own BatchNorm; benchmarks/core/gpu.py times both."""


def folds(y: Tensor) -> bool:
    """Whether the BatchNorm of y is folded into what follows it; torch.compile fuses PyTorch's own by itself."""
    return y.device.type in FOLDED_ON and not torch.compiler.is_compiling()


def normalize(y: Tensor, *, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm of y (N, C, H, W) by its own statistics, then ReLU if asked; with mean and biased variance (C,)."""
    out, mean, variance = _Normalize.apply(pixels(y), relu)
    return unpixels(out, y.shape), mean, variance


def combine(ys: Sequence[Tensor], matrix_XD: Tensor, before: Tensor | None = None) -> Tensor:
    """`before` (P, D), where there is one, plus the sum over branches y (P, C) of y @ M, for matrices one below the other
    (X, D), X the sum of the C: (P, D)."""
    dtype = ys[0].dtype
    with torch.autocast(ys[0].device.type, enabled=False):
        if torch.compiler.is_compiling():
            return plain_mix(before, [y.to(dtype) for y in ys], matrix_XD, [False] * len(ys))
        return _Combine.apply(matrix_XD, before, *(y.to(dtype) for y in ys))  # type: ignore[no-any-return]


def mix(
    before: Tensor | None, ys: Sequence[Tensor], matrix_XD: Tensor, normalized: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """`before` (P, D), where there is one, plus the sum over branches of BatchNorm(y) @ M.

    Args:
        ys: the branches, (P, C) each.
        matrix_XD: their matrices, one below the other: X is the sum of the C.
        normalized: whether a branch is normalised by its own statistics first.

    Returns:
        (P, D), and mean and biased variance of all branches, (X,) each; 0 and 1 where a branch is not normalised.
    """
    dtype = ys[0].dtype
    with torch.autocast(ys[0].device.type, enabled=False):
        found = _Mix.apply(tuple(normalized), before, matrix_XD, *(y.to(dtype) for y in ys))
    return found  # type: ignore[no-any-return]


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, normalized: tuple[bool, ...], before: Tensor | None, matrix: Tensor, *ys: Tensor
    ) -> Any:
        statistics = [
            channel_statistics(y) if flag else (matrix.new_zeros(y.shape[1]), matrix.new_ones(y.shape[1]))
            for y, flag in zip(ys, normalized, strict=True)
        ]
        mean, variance = (torch.cat(values) for values in zip(*statistics, strict=True))
        inverse = torch.rsqrt(variance + EPSILON)
        for part, flag in zip(inverse.split([y.shape[1] for y in ys]), normalized, strict=True):
            if not flag:
                part.fill_(1.0)
        scaled = matrix * inverse[:, None]
        out = _sum_of_products(before, ys, scaled)
        out.sub_(mean @ scaled)
        ctx.normalized = normalized
        ctx.save_for_backward(matrix, mean, inverse, *ys)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> Any:
        matrix, mean, inverse, *ys = ctx.saved_tensors
        before = grad if ctx.needs_input_grad[1] else None
        if torch.is_grad_enabled():
            # a second derivative is wanted: let autograd differentiate the plain form
            again = plain_mix(None, ys, matrix, ctx.normalized)
            return (None, before, *_again(again, grad, [matrix, *ys]))
        sizes = [y.shape[1] for y in ys]
        total = grad.sum(dim=0, dtype=matrix.dtype)
        d_matrix = torch.cat([torch.mm(y.t(), grad) for y in ys]).to(matrix.dtype)
        d_matrix.addr_(mean, total, alpha=-1).mul_(inverse[:, None])
        # dy = g (a M)^T + y slope + offset
        scaled = matrix * inverse[:, None]
        slope = (d_matrix * scaled).sum(dim=1).mul_(inverse).div_(-len(ys[0]))
        offset = torch.addmv(slope * mean, scaled, total, beta=-1, alpha=-1 / len(ys[0]))
        dtype = ys[0].dtype
        parts = zip(
            ys,
            ctx.normalized,
            ctx.needs_input_grad[3:],
            scaled.to(dtype).split(sizes),
            slope.to(dtype).split(sizes),
            offset.to(dtype).split(sizes),
            strict=True,
        )
        d_ys: list[Tensor | None] = []
        for y, normalized, needed, weight, slope_C, offset_C in parts:
            if not needed:
                d_ys.append(None)
            elif normalized:
                wide = lengthen_rows(y)
                d_y = torch.addcmul(tile(offset_C, wide), wide, tile(slope_C, wide)).view_as(y)
                d_ys.append(d_y.addmm_(grad, weight.t()))
            else:
                d_ys.append(torch.mm(grad, weight.t()))
        return (None, before, d_matrix if ctx.needs_input_grad[2] else None, *d_ys)


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, before: Tensor | None, *ys: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, *ys)
        return _sum_of_products(before, ys, matrix)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        matrix, *ys = ctx.saved_tensors
        parts = matrix.to(grad.dtype).split([y.shape[1] for y in ys])
        d_ys = [
            torch.mm(grad, part.t()) if needed else None
            for part, needed in zip(parts, ctx.needs_input_grad[2:], strict=True)
        ]
        d_matrix = None
        if ctx.needs_input_grad[0]:
            d_matrix = torch.cat([torch.mm(y.t(), grad) for y in ys]).to(matrix.dtype)
        return (d_matrix, grad if ctx.needs_input_grad[1] else None, *d_ys)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, relu: bool) -> Any:
        mean, variance = channel_statistics(y)
        inverse = torch.rsqrt(variance + EPSILON)
        wide = lengthen_rows(y)
        out = torch.addcmul(tile(-mean * inverse, wide).to(y.dtype), wide, tile(inverse, wide).to(y.dtype))
        out = (out.relu_() if relu else out).view_as(y)
        ctx.relu = relu
        ctx.save_for_backward(y, out, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> Any:
        y, out, mean, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():
            (plain,) = _again(plain_normalize(y, ctx.relu), grad, [y])
            return plain, None
        wide = lengthen_rows(y)
        grad, out = grad.contiguous().view_as(wide), out.view_as(wide)
        if ctx.relu:
            grad = torch.ops.aten.threshold_backward(grad, out, 0)
        channels = y.shape[1]
        # where the ReLU let nothing through, the gradient is zero: there the normalised value does not matter
        first = grad.sum(dim=0, dtype=mean.dtype).view(-1, channels).sum(dim=0) / len(y)
        second = (grad * out).sum(dim=0, dtype=mean.dtype).view(-1, channels).sum(dim=0) / len(y)
        slope = -inverse.square() * second
        offset = -inverse * first - slope * mean
        d_y = torch.addcmul(tile(offset, wide).to(y.dtype), wide, tile(slope, wide).to(y.dtype))
        d_y.addcmul_(grad, tile(inverse, wide).to(y.dtype))
        return d_y.view_as(y), None


def _sum_of_products(before: Tensor | None, ys: Sequence[Tensor], matrix_XD: Tensor) -> Tensor:
    """`before`, where there is one, plus the sum of y @ M, in the precision of the branches: a new tensor (P, D)."""
    parts = matrix_XD.to(ys[0].dtype).split([y.shape[1] for y in ys])
    out = torch.mm(ys[0], parts[0]) if before is None else torch.addmm(before, ys[0], parts[0])
    for y, part in zip(ys[1:], parts[1:], strict=True):
        out.addmm_(y, part)
    return out


def plain_mix(
    before: Tensor | None, ys: Sequence[Tensor], matrix: Tensor, normalized: Sequence[bool]
) -> Tensor:
    """`mix` in PyTorch's own differentiable operations."""
    out = before
    for y, part, flag in zip(ys, matrix.split([y.shape[1] for y in ys]), normalized, strict=True):
        sent = (plain_normalize(y, False) if flag else y) @ part.to(y.dtype)
        out = sent if out is None else out + sent
    assert out is not None
    return out


def plain_normalize(y_PC: Tensor, relu: bool) -> Tensor:
    """`normalize` in PyTorch's own differentiable operations."""
    variance, mean = torch.var_mean(y_PC, dim=0, correction=0)
    out = (y_PC - mean) * torch.rsqrt(variance + EPSILON)
    return torch.relu(out) if relu else out


def _again(out: Tensor, grad: Tensor, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]
