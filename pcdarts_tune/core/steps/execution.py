"""What holds while steps run: their precision, torch.compile, and the seeds of their random numbers.

float32   float32 throughout. On CUDA that includes cuDNN's convolutions, which PyTorch otherwise rounds to TF32.
bf16      convolutions and matrix products, and what is kept of them, in bfloat16; weights, alphas, betas, their
          gradients and optimisers, BatchNorm's statistics, softmax and cross-entropy stay in float32.
tf32      CUDA only: float32 with operands of convolutions and products rounded to 10 bits of mantissa.

A network in float64 computes in float64 with "float32": nothing is cast.
"""

from __future__ import annotations

import hashlib
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


def promote_logits(logits: Tensor) -> Tensor:
    """Logits in float32 at least: softmax and cross-entropy are never taken in bfloat16."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits


@contextmanager
def use_precision(device: torch.device, precision: str) -> Iterator[None]:
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


class CompileFailed(ValueError):
    """torch.compile could not compile the network."""


@contextmanager
def explain_compile_errors(wanted: bool | str) -> Iterator[None]:
    """Say plainly when torch.compile fails.

    Raises:
        CompileFailed: what torch said, in one line, and what to do.
    """
    if not wanted:
        yield
        return
    from torch import _dynamo
    from torch._dynamo.exc import TorchDynamoException

    try:
        # architecture and weight steps, two sizes of batch, evaluation: each is a program of its own
        with _dynamo.config.patch(recompile_limit=64):
            yield
    except TorchDynamoException as error:
        said = " ".join(str(error).split())[:300]
        raise CompileFailed(
            f"torch.compile could not compile the network: {said}; go on without --compile"
        ) from error


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from parts such as (base seed, purpose, epoch); nearby parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seed_generators(device: torch.device, *parts: object) -> Iterator[None]:
    """Run with torch's global generators seeded from `parts`, and give them back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive_seed(*parts))
        yield
