"""MixUp and CutMix: batches whose images and labels are mixtures of two, by torchvision's transforms.

    mixing = Mixing(num_classes=10, mixup=0.2, cutmix=1.0)
    images, labels = mixing(images, labels, seed=0, epoch=3, batch=7)       # labels float32 (N, 10), rows sum to 1

MixUp (arXiv 1710.09412) blends whole images, CutMix (arXiv 1905.04899) pastes a rectangle; with both, each batch gets one of
them, at even odds. Shares come from Beta(alpha, alpha); an image's partner is the one before it in the batch. What is drawn
is keyed by (seed, epoch, batch), so a training that goes on draws the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pcdarts_tune.core.state import derive_seed


class Mixing:
    """Mixes batches after augmentation and normalisation, on their device.

    Args:
        num_classes: of the labels.
        mixup, cutmix: alpha of the Beta distribution of the shares; 0 leaves that one out.

    Raises:
        ValueError: both are 0, or one is negative.
    """

    def __init__(self, num_classes: int, *, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        from torchvision.transforms import v2

        if min(mixup, cutmix) < 0 or not (mixup or cutmix):
            raise ValueError(
                f"mixup and cutmix are at least 0, and one above; got mixup={mixup}, cutmix={cutmix}"
            )
        self._kinds: list[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = []
        if mixup:
            self._kinds.append(v2.MixUp(alpha=mixup, num_classes=num_classes))
        if cutmix:
            self._kinds.append(v2.CutMix(alpha=cutmix, num_classes=num_classes))

    def __call__(
        self, images: Tensor, labels: Tensor, *, seed: int, epoch: int, batch: int
    ) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) and labels int64 (N,) to images of the same shape and shares (N, num_classes) of their type."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "mixing", epoch, batch))
            kind = self._kinds[int(torch.randint(len(self._kinds), ()))]
            images, shares = kind(images, labels)
        return images, shares.to(images.dtype)


def dominant(labels: Tensor) -> Tensor:
    """Labels (N,) as they are; of shares (N, K) the class with the largest, (N,): what accuracy is counted by."""
    return labels if labels.ndim == 1 else labels.argmax(dim=1)
