"""Decoding one image file: from bytes to pixels, for training and for prediction alike.

    x = to_tensor(fit(decode_image(Path("cat.jpg").read_bytes(), channels=3), (32, 32)))         # uint8 (3, 32, 32)

Only common raster formats are tried, and whatever goes wrong is an UnreadableImage that says why.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
# A 16-megapixel photograph four times over; beyond it a small file can unpack to fill the memory.
MAX_PIXELS = 2**26
LARGEST_FILE = 2**28
"""Bytes of an encoded image that are read at the most."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_TOO_LARGE = f"more than the {MAX_PIXELS // 2**20} megapixels that are decoded"
_ORIENTATION, _SIDEWAYS = 0x0112, range(5, 9)


class UnreadableImage(ValueError):
    """A file that gives no image, and why."""


@dataclass(frozen=True)
class Header:
    """What an image file says before it is decoded: height and width as seen upright, and whether it has no colour."""

    height: int
    width: int
    grey: bool


@contextmanager
def _explain_failures() -> Iterator[None]:
    """Raise UnreadableImage for whatever Pillow raises on a damaged file; its warnings are of what is handled here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(f"not an image in one of {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage(_TOO_LARGE) from error
    except Exception as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnreadableImage("empty file")
    with _explain_failures():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"{width}x{height} pixels, {_TOO_LARGE}")
    if width < 1 or height < 1:
        raise UnreadableImage("no pixels")
    return image


def read_header(data: bytes) -> Header:
    """Size and colour without decoding.

    Raises:
        UnreadableImage: not an image, or too large.
    """
    image = _open(data)
    width, height = image.size
    if image.format == "JPEG" and image.getexif().get(_ORIENTATION) in _SIDEWAYS:
        width, height = height, width
    return Header(height, width, image.mode in GREY_MODES)


def decode_image(data: bytes, channels: int, *, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first frame as a PIL image, mode L (1 channel) or RGB (3), turned upright, without transparency.

    A JPEG much larger than `at_least` (height, width) is decoded at a fraction of its size.

    Raises:
        UnreadableImage: not an image, too large, cut off, or of values that are no grey or colour levels.
    """
    image = _open(data)
    with _explain_failures():
        if at_least is not None:
            # twice the size loses nothing, since `fit` averages
            image.draft(None, (2 * max(at_least), 2 * max(at_least)))
        if image.format == "JPEG":
            image = ImageOps.exif_transpose(image)
        if image.mode == "F":
            raise UnreadableImage("floating-point pixels; save it with 8 bits a channel")
        if image.mode.startswith("I"):  # 16 bits a pixel
            image = image.convert("I").point([value >> 8 for value in range(65536)], "L")
        return image.convert("L" if channels == 1 else "RGB")


def fit(image: Image.Image, image_size: tuple[int, int]) -> Image.Image:
    """The image resized (bilinear, antialiased) to cover (height, width), centre cropped to it."""
    height, width = image_size
    if image.size == (width, height):
        return image
    return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)


def to_tensor(image: Image.Image) -> Tensor:
    """A PIL image, mode L or RGB, as uint8 (C, H, W)."""
    width, height = image.size
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(height, width, len(image.getbands())).permute(2, 0, 1).contiguous()


def to_image(x_CHW: Tensor) -> Image.Image:
    """uint8 (C, H, W) as a PIL image, mode L or RGB."""
    channels, height, width = x_CHW.shape
    pixels = x_CHW.permute(1, 2, 0).contiguous().numpy().tobytes()
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), pixels)
