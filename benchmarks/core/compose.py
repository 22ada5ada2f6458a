"""Where composing depthwise and pointwise convolution into one dense convolution gains: what stacked.COMPOSE_UP_TO rests on.

    python benchmarks/core/compose.py                 # or PYTHONPATH=. python benchmarks/core/compose.py

Forward and backward of the first stage of a separable convolution for the 8 edges that leave a cell's two inputs, in turn in
one process; the ratio is separate over composed, median of the pairs, so above 1 composing is faster.
"""

from __future__ import annotations

import statistics
import time

import torch

from pcdarts_tune.core.fast import stacked
from pcdarts_tune.core.fast.stacked import StackedConv

BATCH, EDGES, SOURCES, REPEATS = 32, 8, 2, 7


def seconds(conv: StackedConv, x: torch.Tensor, compose: bool) -> float:
    """One forward and backward pass."""
    stacked.COMPOSE_UP_TO = 10**6 if compose else 0
    begun = time.perf_counter()
    y = conv.convolve(x, conv.kernels([EDGES])[0], SOURCES, 1)
    y.backward(torch.ones_like(y))
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    print(
        f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, batch {BATCH}, n={REPEATS}"
    )
    for channels, side in ((4, 32), (8, 16), (8, 32), (16, 8), (16, 32), (32, 16), (64, 8)):
        for kernel, dilation in ((3, 1), (5, 1), (3, 2), (5, 2)):
            conv = StackedConv(EDGES, channels, kernel, dilation).to(device)
            x = torch.randn(BATCH, SOURCES * channels, side, side, device=device)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            for compose in (False, True):
                seconds(conv, x, compose)
            pairs = [(seconds(conv, x, False), seconds(conv, x, True)) for _ in range(REPEATS)]
            ratios = [separate / composed for separate, composed in pairs]
            print(
                f"{channels:3} channels {side:2}x{side:<2} kernel {kernel} dilation {dilation}: "
                f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
