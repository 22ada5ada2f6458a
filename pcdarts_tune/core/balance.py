"""What training does about classes of unequal size: weights of the loss, and sampling by class.

>>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2)
tensor([0.6667, 2.0000])
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

CLASS_WEIGHTS = ("none", "balanced")
SAMPLINGS = ("uniform", "balanced")


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weight N / (K n_c) of each class c with n_c of the N images, K counting the classes that have images (King and Zeng
    2001; scikit-learn's `class_weight="balanced"`): their mean over the images is 1.

    Args:
        labels: int64 (N,).

    Returns:
        float32 (num_classes,), on the CPU; 0 for a class without images.
    """
    counts = torch.bincount(labels.cpu(), minlength=num_classes)
    present = int((counts > 0).sum())
    return torch.where(counts > 0, len(labels) / (present * counts.clamp(min=1)), 0.0).float()


class Labelled(Protocol):
    """What `class_weights` asks of batches."""

    num_classes: int
    labels: Tensor


def class_weights(kind: str, *parts: Labelled, device: torch.device) -> Tensor | None:
    """The weights of a loss on the images of all parts, None for `none`. Raises ValueError: for a kind that is not one of
    CLASS_WEIGHTS."""
    if kind not in CLASS_WEIGHTS:
        raise ValueError(f"class_weights must be one of {', '.join(CLASS_WEIGHTS)}; got {kind!r}")
    if kind == "none":
        return None
    labels = torch.cat([part.labels.cpu() for part in parts])
    return balanced_weights(labels, parts[0].num_classes).to(device)


def cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of a batch; each image counts the weight of its class.

    With weights the sum is divided by the number of images, not by that of the weights: so a batch estimates the weighted loss of
    all images without bias, and parts of a batch add up to the whole.

    Args:
        logits: (N, K). labels: int64 (N,), or shares of the classes, (N, K).
    """
    if weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    weights = weights.to(logits.dtype)
    total = F.cross_entropy(logits, labels, weight=weights, label_smoothing=label_smoothing, reduction="sum")
    return total / len(labels)


def balanced_samples(labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """As many images as there are, drawn so that every class has equally many: class-balanced sampling (Kang et al., ICLR
    2020, section 4.1), with numbers that are equal instead of equal in expectation.

    An image of a class comes again only when all of its class have come as often; what does not divide is drawn.

    Args:
        labels: int64 (N,), on the CPU.

    Returns:
        Places in `labels`, int64 (N,), class by class.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    by_class = [rows for rows in labels.argsort(stable=True).split(counts.tolist()) if len(rows)]
    each, left = divmod(len(labels), len(by_class))
    with_one_more = set(torch.randperm(len(by_class), generator=generator)[:left].tolist())
    parts = []
    for place, rows in enumerate(by_class):
        rounds, rest = divmod(each + (place in with_one_more), len(rows))
        drawn = rows[torch.randperm(len(rows), generator=generator)[:rest]]
        parts += [rows.repeat(rounds), drawn]
    return torch.cat(parts)
