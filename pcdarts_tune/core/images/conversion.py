"""What an image file's samples become: uint8 levels, the same in training, in prediction and where a model is served.

    level = round(255 (sample - low) / (high - low)), clamped to 0..255      # samples of more than 8 bits
    pixel = level alpha + background (1 - alpha)                              # where there is transparency

A data set decides once how its images are converted; the `Conversion` is stored with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

WHITE = (255, 255, 255)
SIXTEEN_BITS = (0.0, 65535.0)
"""The range where nothing but the number of channels is said; floating-point samples are refused then."""


class UnreadableImage(ValueError):
    """A file that gives no image, and why."""


@dataclass(frozen=True)
class Conversion:
    """From an encoded image to uint8 (C, H, W), turned upright.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        background: RGB levels under what is transparent; None drops transparency and takes the high byte of 16-bit
            samples, as models did that do not say how they convert.
        sample_range: the samples, of images with more than 8 bits, that become 0 and 255; None refuses such images.
        transparent: whether images of the data set can be transparent.
    """

    channels: int
    background: tuple[int, int, int] | None = WHITE
    sample_range: tuple[float, float] | None = None
    transparent: bool = False

    @classmethod
    def of(cls, channels: int | Conversion) -> Conversion:
        """A conversion that is given whole, or by its channels alone: on white, and all 16 bits as they are."""
        return cls(channels, sample_range=SIXTEEN_BITS) if isinstance(channels, int) else channels

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, as JSON can keep it."""
        found = None if self.sample_range is None else list(self.sample_range)
        return {
            "background": list(self.background or WHITE),
            "sample_range": found,
            "transparent": self.transparent,
        }

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Conversion:
        """Of a model's `preprocessing`, or of a data set's record."""
        background, found = about.get("background"), about.get("sample_range")
        return cls(
            int(about["channels"]),
            None if background is None else (background[0], background[1], background[2]),
            None if found is None else (float(found[0]), float(found[1])),
            bool(about.get("transparent", False)),
        )

    def scale(self, samples: Tensor) -> Tensor:
        """Samples of any type and shape as uint8 levels of the same shape.

        Raises:
            UnreadableImage: there is no range to scale by.
        """
        if self.sample_range is SIXTEEN_BITS and samples.is_floating_point():
            raise UnreadableImage("floating-point samples of a range that is not known; save it with 8 bits")
        if self.sample_range is None:
            raise UnreadableImage(
                "its samples have more than 8 bits, and all images of the data set have 8: save it with 8 bits"
            )
        low, high = self.sample_range
        levels = (samples.double() - low) * (255 / (high - low) if high > low else 0.0)
        return levels.round().clamp(0, 255).to(torch.uint8)

    def flatten(self, image: Image.Image) -> Image.Image:
        """A PIL image of 8 bits a sample in mode L or RGB: on the background where it is transparent."""
        if self.background is not None and has_alpha(image):
            rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, (*self.background, 255)), rgba)
        return image.convert("L" if self.channels == 1 else "RGB")


def image_size_of(preprocessing: Mapping[str, Any]) -> tuple[int, int]:
    """(H, W) of the images that a model takes; its `image_size` is one side of a square, or both."""
    size = preprocessing["image_size"]
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def has_alpha(image: Image.Image) -> bool:
    """Whether pixels of the image can be transparent."""
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
