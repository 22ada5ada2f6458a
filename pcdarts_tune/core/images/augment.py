"""Augmentation: per image, in batches on the device (`Augmentation`) or on one PIL image (`imagenet_transform`), and mixtures
of two images (`Mixing`).

    augment = Augmentation(crop_padding=4, flip=True, cutout=16)
    draws = augment.draw(len(images), (32, 32), torch.Generator().manual_seed(0))  # once an epoch, a row per image
    x = augment(images[batch], draws[batch], mean, std)                             # uint8 -> float32

As published for CIFAR (DARTS, arXiv 1806.09055; PC-DARTS, arXiv 1907.05737), with cutout (arXiv 1708.04552). With the same
draws the results are, bit for bit, those of torchvision's operations on one PIL image after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from pcdarts_tune.core.images.decode import fit
from pcdarts_tune.core.steps.execution import derive_seed


def channel_constants(values: tuple[float, ...], device: torch.device | str) -> Tensor:
    """One float32 value a channel, shaped (C, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def normalize_images(x_NCHW: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (N, C, H, W), 0..255, to float32: (x / 255 - mean) / std, in torchvision's order of operations."""
    return x_NCHW.to(torch.float32).div_(255).sub_(mean).div_(std)


class Augmentation:
    """Random crop, flip and cutout; an `Augmentation(0, False, 0)` only normalises.

    Args:
        crop_padding: pixels of zeros around the image, of which a window of the image's own size is cut.
        flip: mirror left and right with probability 1/2.
        cutout: side L in pixels of a square set to 0 after normalising: rows [y - L//2, y + L//2), columns likewise,
            clipped at the borders, the centre uniform over the image.

    Raises:
        ValueError: a negative length.
    """

    def __init__(self, crop_padding: int = 4, flip: bool = True, cutout: int = 0) -> None:
        if crop_padding < 0 or cutout < 0:
            raise ValueError(
                f"lengths in pixels are at least 0; got crop_padding={crop_padding}, cutout={cutout}"
            )
        self.crop_padding, self.flip, self.cutout = crop_padding, flip, cutout

    def draw(self, count: int, image_size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """What happens to each of `count` images: int64 (count, 5), on the generator's device.

        Columns: top and left corner of the crop in the padded image, flip (0 or 1), row and column of cutout's centre.
        """
        height, width = image_size
        ends = (2 * self.crop_padding + 1, 2 * self.crop_padding + 1, 2 if self.flip else 1, height, width)
        device = generator.device
        return torch.stack(
            [torch.randint(end, (count,), generator=generator, device=device) for end in ends], dim=1
        )

    def __call__(self, x_NCHW: Tensor, draws: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 (N, C, H, W) to float32 of the same shape, contiguous.

        Args:
            draws: (N, 5), from `draw`, on the same device.
            mean, std: (C, 1, 1), in units of the full scale (0..1).
        """
        top, left, flip, row, column = draws.unbind(1)
        if len(x_NCHW) and (self.crop_padding or self.flip):
            x_NCHW = self._crop_and_flip(x_NCHW, top, left, flip)
        x_NCHW = normalize_images(x_NCHW, mean, std)
        return x_NCHW.mul_(self._kept(x_NCHW, row, column)) if self.cutout else x_NCHW

    def _crop_and_flip(self, x_NCHW: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
        """Copy each image's window, row by row, from the padded images and their mirror images laid end to end."""
        count, channels, height, width = x_NCHW.shape
        padded = F.pad(x_NCHW, (self.crop_padding,) * 4) if self.crop_padding else x_NCHW
        image = torch.arange(count, device=top.device)
        if self.flip:  # the window's mirror image begins as far from the other side
            padded = torch.cat([padded, padded.flip(-1)])
            image = image + count * flip
            left = torch.where(flip.bool(), 2 * self.crop_padding - left, left)
        row, plane = padded.shape[3], padded.shape[2] * padded.shape[3]
        starts = (
            (image * channels * plane + top * row + left)[:, None, None]
            + torch.arange(0, channels * plane, plane, device=top.device)[None, :, None]
            + torch.arange(0, height * row, row, device=top.device)
        )
        padded = padded.contiguous()
        # a view: `width` pixels from anywhere
        every_run = padded.as_strided((padded.numel() - width + 1, width), (1, 1))
        return every_run.index_select(0, starts.flatten()).view(x_NCHW.shape)

    def _kept(self, x_NCHW: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """float32 (N, 1, H, W): 0 inside the square, 1 elsewhere."""
        half = self.cutout // 2
        rows, columns = (
            (at >= centre[:, None] - half) & (at < centre[:, None] + half)
            for at, centre in (
                (torch.arange(x_NCHW.shape[2], device=row.device), row),
                (torch.arange(x_NCHW.shape[3], device=row.device), column),
            )
        )
        return (~(rows[:, :, None] & columns[:, None, :]))[:, None].to(torch.float32)


def imagenet_transform(
    image_size: tuple[int, int],
    *,
    train: bool,
    flip: bool = True,
    color_jitter: tuple[float, float, float, float] | None = None,
    rand_augment: tuple[int, int] | None = None,
) -> Callable[[Image], Image]:
    """The ImageNet recipe for one PIL image (DARTS, section 3.3), to be followed by normalisation.

    Training: random resized crop, flip, then RandAugment (operations, magnitude), then colour jitter (brightness, contrast,
    saturation, hue). Otherwise: the shorter side to 256/224 of `image_size`, centre crop. Randomness is torch's global
    generator.
    """
    from torchvision.transforms import v2

    steps: list[Callable[[Image], Image]]
    if train:
        steps = [v2.RandomResizedCrop(image_size, antialias=True)]
        if flip:
            steps.append(v2.RandomHorizontalFlip())
        if rand_augment is not None:
            steps.append(v2.RandAugment(*rand_augment))
        if color_jitter is not None:
            brightness, contrast, saturation, hue = color_jitter
            steps.append(v2.ColorJitter(brightness, contrast, saturation, hue))
    else:
        steps = [v2.Resize(round(min(image_size) * 256 / 224), antialias=True), v2.CenterCrop(image_size)]
    transform: Callable[[Image], Image] = v2.Compose(steps)
    return transform


def fit_and_rand_augment(
    image_size: tuple[int, int], operations: int, magnitude: int
) -> Callable[[Image], Image]:
    """RandAugment (arXiv 1909.13719) for one PIL image, after bringing it to size (height, width), before `Augmentation`.

    So many of torchvision's 14 operations are applied, of magnitude 0 to 30. Randomness is torch's global generator.
    """
    from torchvision.transforms import v2

    transform: Callable[[Image], Image] = v2.Compose(
        [partial(fit, image_size=image_size), v2.RandAugment(operations, magnitude)]
    )
    return transform


def resize(image: Image, image_size: tuple[int, int], mode: str) -> Image:
    """To size without randomness: mode "fit", see `fit`, or "imagenet", shorter side to 256/224 and centre crop.

    Raises:
        ValueError: for another mode.
    """
    if mode == "fit":
        return fit(image, image_size)
    if mode != "imagenet":
        raise ValueError(f"resize must be fit or imagenet; got {mode!r}")
    return imagenet_transform(image_size, train=False)(image)


class Mixing:
    """Mixes batches by torchvision's MixUp and CutMix, after augmentation and normalisation, on their device.

    MixUp (arXiv 1710.09412) blends whole images, CutMix (arXiv 1905.04899) pastes a rectangle; with both, each batch gets one
    of them, at even odds. Shares come from Beta(alpha, alpha); an image's partner is the one before it in the batch. What is
    drawn is keyed by (seed, epoch, batch), so a training that goes on draws the same.

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


def largest_class(labels: Tensor) -> Tensor:
    """Labels (N,) as they are; of shares (N, K) the class with the largest, (N,): what accuracy is counted by."""
    return labels if labels.ndim == 1 else labels.argmax(dim=1)
