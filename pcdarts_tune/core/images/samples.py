"""Samples of more than 8 bits, as they stand in a file: Pillow gives 16-bit colour by its high bytes alone.

samples, alpha = read_samples(image)      # (C, H, W); float64 (H, W), 0..1, or None
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from pcdarts_tune.core.images.conversion import UnreadableImage

SampleKind = Literal["integer", "float"]

_HIGH_BYTES = re.compile(r"(LA|RGB|RGBA|RGBX|RGBa|CMYK);16([BLN])")
"""Raw modes of Pillow that keep the high byte of each sample."""
_BITS, _PHOTOMETRIC, _PLANAR, _FORMAT = 258, 262, 284, 339  # of TIFF
_WHITE_IS_ZERO, _SIGNED, _SEPARATE = 0, 2, 2


def kind_of_samples(image: Image.Image) -> SampleKind | None:
    """What an image that is open and not decoded has for samples of more than 8 bits, or of signed ones; None for 8 bits."""
    if image.mode == "F":
        return "float"
    deep = image.mode.startswith("I") or _high_bytes(image) is not None
    return "integer" if deep or _is_signed_byte(image) or _tag(image, _BITS) == 16 else None


def is_grey_in_colour(image: Image.Image) -> bool:
    """Whether Pillow opens the image as RGBA for want of a mode for 16-bit grey with transparency."""
    found = _high_bytes(image)
    return found is not None and found[1] == "LA"


def read_samples(image: Image.Image, again: Callable[[], Image.Image]) -> tuple[Tensor, Tensor | None]:
    """The samples, (C, H, W) with C 1 or 3, and how opaque each pixel is, float64 (H, W) in 0..1, where the file says so.

    Args:
        image: open, not decoded, with samples of a `kind_of_samples`.
        again: opens the same image once more.

    Raises:
        UnreadableImage: samples that are no numbers, or of a kind that cannot be read whole.
    """
    if (found := _high_bytes(image)) is not None:
        return _colour(image, again(), found)
    if image.mode not in ("F", "L") and not image.mode.startswith("I"):
        raise UnreadableImage("16-bit samples in planes or of an unusual kind; save it with 8 bits a sample")
    signed_byte, photometric = _is_signed_byte(image), _tag(image, _PHOTOMETRIC)
    bits, unsigned = _tag(image, _BITS), _tag(image, _FORMAT) in (None, 1)
    image.load()
    transparent = image.info.get("transparency")
    if image.mode == "F":
        samples = _pixels(image, torch.float32)
        if not bool(samples.isfinite().all()):
            raise UnreadableImage("floating-point samples that are no numbers (NaN or infinite)")
        return samples[None], None
    if signed_byte:
        return _pixels(image, torch.int8)[None], None
    samples = _pixels(image.convert("I"), torch.int32).to(torch.int64)
    if image.format == "TIFF" and unsigned and bits == 32:
        samples = samples & 0xFFFFFFFF
    if photometric == _WHITE_IS_ZERO and unsigned and bits:
        samples = 2**bits - 1 - samples
    alpha = (samples != transparent).double() if isinstance(transparent, int) else None
    return samples[None], alpha


def _colour(high: Image.Image, low: Image.Image, found: re.Match[str]) -> tuple[Tensor, Tensor | None]:
    """Both bytes of 16-bit samples: decoded once as usual, and once as if their bytes were in the other order."""
    mode, order = found.groups()
    if mode in ("RGBa", "CMYK") or _tag(high, _PLANAR) == _SEPARATE:
        raise UnreadableImage(f"16-bit samples of the mode {mode}; save it with 8 bits a sample")
    transparent = high.info.get("transparency")
    if mode == "LA":  # four bytes a pixel: both of the grey level, both of the opacity
        _set_raw_mode(high, "RGBA")
        high.load()
        both = _planes(high)
        pixels = both[::2] * 256 + both[1::2]
        return pixels[:1], pixels[1] / 65535
    order = ("L" if sys.byteorder == "little" else "B") if order == "N" else order
    _set_raw_mode(low, f"{mode};16{'L' if order == 'B' else 'B'}")
    high.load()
    low.load()
    pixels = _planes(high) * 256 + _planes(low)
    if mode == "RGBA":
        return pixels[:3], pixels[3] / 65535
    if isinstance(transparent, tuple):
        clear = (pixels[:3] == torch.tensor(transparent)[:, None, None]).all(dim=0)
        return pixels[:3], (~clear).double()
    return pixels[:3], None


def _high_bytes(image: Image.Image) -> re.Match[str] | None:
    for tile in getattr(image, "tile", ()):
        raw = tile[3][0] if isinstance(tile[3], tuple) and tile[3] else tile[3]
        if isinstance(raw, str) and (found := _HIGH_BYTES.fullmatch(raw)):
            return found
    return None


def _set_raw_mode(image: Image.Image, raw: str) -> None:
    opened: Any = image
    tiles = []
    for kind, box, offset, args in opened.tile:
        tiles.append((kind, box, offset, (raw, *args[1:]) if isinstance(args, tuple) else raw))
    make = type(opened.tile[0])
    opened.tile = [make(*tile) if hasattr(make, "_fields") else tile for tile in tiles]


def _planes(image: Image.Image) -> Tensor:
    """int64 (bands, H, W)."""
    width, height = image.size
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(height, width, len(image.getbands())).permute(2, 0, 1).to(torch.int64)


def _pixels(image: Image.Image, kind: torch.dtype) -> Tensor:
    width, height = image.size
    return torch.frombuffer(bytearray(image.tobytes()), dtype=kind).view(height, width)


def _is_signed_byte(image: Image.Image) -> bool:
    return image.mode == "L" and _tag(image, _FORMAT) == _SIGNED


def _tag(image: Image.Image, number: int) -> int | None:
    """The first value of a tag of a TIFF file."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return None
    value = tags.get(number)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else None
