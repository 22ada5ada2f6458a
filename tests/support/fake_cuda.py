"""CUDA tensors without CUDA: shapes, types and devices alone are computed, by PyTorch's own rules for a GPU.

What it shows of the CUDA path on a machine that has no GPU: every tensor is on the device, nothing waits for it, and
which type each result has under autocast. (Backward passes need a real device.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)

WAITS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"}
"""Operators for which the host waits on CUDA, copies apart."""


class Launches(TorchDispatchMode):
    """Notes what each operator returned; raises where the host would wait for the device.

    Attributes:
        made: (operator, result) of each operator that computes, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        out = func(*args, **(kwargs or {}))
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        devices = {leaf.device.type for leaf in (*results, *given)}
        assert name not in WAITS, f"{name} waits for the device"
        assert len(devices) <= 1, f"{name} goes between the host and the device, which waits"
        if not func.is_view:
            self.made += [(name, leaf) for leaf in results]
        return out


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Within, `device="cuda"` gives tensors without memory."""
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        yield mode


def moved(module: nn.Module) -> nn.Module:
    """The module, in place, with fake CUDA tensors; within `fake_cuda`."""
    for part in module.modules():
        for name, p in part._parameters.items():
            if p is not None:
                part._parameters[name] = nn.Parameter(on_cuda(p))
        for name, b in part._buffers.items():
            if b is not None:
                part._buffers[name] = on_cuda(b)
    return module


def on_cuda(value: Tensor) -> Tensor:
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=CUDA)


@contextmanager
def autocast_bf16() -> Iterator[None]:
    """What torch.autocast("cuda", torch.bfloat16) sets, which it refuses to set without a GPU."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.set_autocast_cache_enabled(False)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_cache_enabled(True)
