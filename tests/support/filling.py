"""Supernets filled by the formula of the reference numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pcdarts_tune.core.architecture import architecture_names
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet
from support.formula import fill_state, images

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def fill_supernet(net: Supernet | TextbookSupernet, mode: str = "by_shape") -> None:
    """Weights by formula, in the published order."""
    published = net.published_state() if isinstance(net, Supernet) else net.weight_state()
    weights = [(name, value.shape) for name, value in published.items() if not name.endswith(STATISTICS)]
    values = fill_state(weights, mode)
    if isinstance(net, Supernet):
        net.load_published_state(values)
    else:
        net.load_state_dict(values, strict=False)


def set_architecture(net: Supernet | TextbookSupernet, values: dict[str, Any]) -> None:
    with torch.no_grad():
        for name in architecture_names(net.family):
            if name in values:
                getattr(net, name).copy_(torch.as_tensor(values[name], dtype=torch.float64))


def reference_supernet(case: dict[str, Any], form: type = Supernet) -> Supernet | TextbookSupernet:
    """The supernet of a case, in its dtype, filled."""
    net = form(
        case.get("C", 8),
        case.get("layers", 3),
        case.get("K", 4) or 1,
        case.get("num_classes", 10),
        stem="imagenet" if "imagenet" in case["name"] else "cifar",
        edge_normalization="beta_normal" in case or "beta_normal" in case.get("init", {}),
    ).double()
    fill_supernet(net, case.get("init_mode", "by_shape"))
    set_architecture(net, case.get("init", case))
    return net.to(torch.float32 if "float32" in case["name"] else torch.float64)


def batch(case: dict[str, Any], seed: int, targets: list[int]) -> tuple[Tensor, Tensor]:
    side = case.get("resolution", 16)
    dtype = torch.float32 if "float32" in case["name"] else torch.float64
    return images((case.get("batch", 4), 3, side, side), seed).to(dtype), torch.tensor(targets)
