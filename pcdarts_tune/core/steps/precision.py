"""The precision of forward passes: float32, bfloat16 by autocast, or TF32.

    with hardware(device, "bf16"):                      # around an epoch: what the device's libraries may do
        with autocast(device, "bf16"):                  # around a forward pass
            logits = net(images)
        loss = F.cross_entropy(widened(logits), labels)

float32   float32 throughout. On CUDA that includes cuDNN's convolutions, which PyTorch otherwise rounds to TF32.
bf16      convolutions and matrix products, and what is kept of them, in bfloat16; weights, alphas, betas, their
          gradients and optimisers, BatchNorm's statistics, softmax and cross-entropy stay in float32.
tf32      CUDA only: float32 with operands of convolutions and products rounded to 10 bits of mantissa.

A network in float64 computes in float64 with "float32": nothing is cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

PRECISIONS = ("float32", "bf16", "tf32")

CUDNN_BENCHMARK = True
"""Whether cuDNN tries its algorithms on the first batch of each shape and keeps the fastest."""


def check_precision(precision: str, device: torch.device) -> str:
    """The precision, if the device has it.

    Raises:
        ValueError: for an unknown one, or TF32 anywhere but on CUDA.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    if precision == "tf32" and device.type != "cuda":
        raise ValueError(f"precision tf32 is CUDA's; on {device.type} take float32 or bf16")
    return precision


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Around a forward pass: bfloat16 where `precision` says so."""
    if precision != "bf16":
        return nullcontext()
    # a cached copy of a weight would outlive the step that a CUDA graph repeats
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def widened(logits: Tensor) -> Tensor:
    """Logits in float32 at least: softmax and cross-entropy are never taken in bfloat16."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits


@contextmanager
def hardware(device: torch.device, precision: str) -> Iterator[None]:
    """Let CUDA's libraries compute in `precision`; these settings are the process's, and are put back afterwards."""
    if device.type != "cuda":
        yield
        return
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32 = products.allow_tf32 = precision == "tf32"
    cudnn.benchmark = CUDNN_BENCHMARK
    try:
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark = before
