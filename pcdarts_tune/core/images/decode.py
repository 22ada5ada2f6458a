"""Decoding one image file: from bytes to pixels, for training and for prediction alike.

    x = to_tensor(fit(decode_image(Path("cat.jpg").read_bytes(), Conversion(3)), (32, 32)))        # uint8 (3, 32, 32)

Only common raster formats are tried, and whatever goes wrong is an UnreadableImage that says why.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pcdarts_tune.core.images.conversion import Conversion, UnreadableImage, has_alpha
from pcdarts_tune.core.images.formats import readable_formats, tell_unidentified
from pcdarts_tune.core.images.samples import SampleKind, is_grey_in_colour, kind_of_samples, read_samples

# A 16-megapixel photograph four times over; beyond it a small file can unpack to fill the memory.
MAX_PIXELS = 2**26
LARGEST_FILE = 2**28
"""Bytes of an encoded image that are read at the most."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_TOO_LARGE = f"more than the {MAX_PIXELS // 2**20} megapixels that are decoded"
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by EXIF's orientation; those from 5 on exchange height and width."""
_SAYS_ORIENTATION = (b"eXIf", b"Raw profile type", b"tiff:Orientation")


@dataclass(frozen=True)
class Header:
    """What an image file says before it is decoded.

    Attributes:
        height, width: as seen upright.
        grey: it has no colour.
        samples: the kind of its samples where they have more than 8 bits.
        alpha: it can be transparent.
        turned: it is stored otherwise than upright.
        frames: it holds several images, of which the first is read.
    """

    height: int
    width: int
    grey: bool
    samples: SampleKind | None = None
    alpha: bool = False
    turned: bool = False
    frames: bool = False


@contextmanager
def _explain_failures() -> Iterator[None]:
    """Raise UnreadableImage for whatever Pillow raises on a damaged file; its warnings are of what is handled here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableImage(_TOO_LARGE) from error
    except Exception as error:
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnreadableImage("empty file")
    with _explain_failures():
        try:
            image = Image.open(io.BytesIO(data), formats=readable_formats())
        except UnidentifiedImageError as error:
            raise UnreadableImage(tell_unidentified(data[:64])) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"{width}x{height} pixels, {_TOO_LARGE}")
    if width < 1 or height < 1:
        raise UnreadableImage("no pixels")
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none that can be read: damaged metadata leaves an image as it is stored."""
    with suppress(Exception):
        value = image.getexif().get(_ORIENTATION)
        return value if isinstance(value, int) and value in _TURNS else 1
    return 1


def read_header(data: bytes) -> Header:
    """Size and kind of an image without decoding.

    Raises:
        UnreadableImage: not an image, or too large.
    """
    image = _open(data)
    width, height = image.size
    # of a PNG, getexif() decodes all: only where there is something to find
    looks = image.format != "PNG" or any(word in data for word in _SAYS_ORIENTATION)
    samples, grey = kind_of_samples(image), image.mode in GREY_MODES or is_grey_in_colour(image)
    alpha, frames, orientation = has_alpha(image), False, 1
    with suppress(Exception):
        frames = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orientation = _orientation(image) if looks else 1
    if orientation >= 5 and image.format != "TIFF":  # whose size is upright already
        width, height = height, width
    return Header(height, width, grey, samples, alpha, orientation != 1, frames)


def decode_image(
    data: bytes, conversion: Conversion | int, *, at_least: tuple[int, int] | None = None
) -> Image.Image:
    """The first frame as a PIL image, mode L (1 channel) or RGB (3), turned upright, without transparency.

    A JPEG much larger than `at_least` (height, width) is decoded at a fraction of its size. A number of channels stands for
    a conversion, see `Conversion.of`.

    Raises:
        UnreadableImage: not an image, too large, cut off, or of samples that cannot be scaled.
    """
    image, conversion = _open(data), Conversion.of(conversion)
    with _explain_failures():
        if at_least is not None:
            # twice the size loses nothing, since `fit` averages
            image.draft(None, (2 * max(at_least), 2 * max(at_least)))
        if conversion.background is None:
            return _upright(image, conversion.flatten(_as_before(image)))
        if kind_of_samples(image) is not None:
            return _upright(image, _scaled(image, data, conversion))
        image.load()
        return conversion.flatten(_upright(image, image))


def _upright(source: Image.Image, image: Image.Image) -> Image.Image:
    """The image turned as its source says; of TIFF Pillow has done so."""
    turn = None if source.format == "TIFF" else _TURNS.get(_orientation(source))
    return image if turn is None else image.transpose(turn)


def _scaled(image: Image.Image, data: bytes, conversion: Conversion) -> Image.Image:
    """An image of more than 8 bits a sample, as L or RGB."""
    samples, alpha = read_samples(image, lambda: _open(data))
    x_CHW = conversion.scale(samples)
    if alpha is not None and conversion.background is not None:
        x_CHW = x_CHW if len(x_CHW) == 3 or conversion.channels == 1 else x_CHW.expand(3, -1, -1)
        level = torch.tensor(conversion.background, dtype=torch.float64)[:, None, None]
        if len(x_CHW) == 1:  # as Pillow weighs colours
            level = (level * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
        x_CHW = (x_CHW * alpha + level * (1 - alpha)).round().to(torch.uint8)
    return to_image(x_CHW).convert("L" if conversion.channels == 1 else "RGB")


def _as_before(image: Image.Image) -> Image.Image:
    """The image for a model that was trained before conversions were kept: the high byte of 16-bit samples."""
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels; save it with 8 bits a channel")
    image.load()
    return (
        image.convert("I").point([value >> 8 for value in range(65536)], "L")
        if image.mode.startswith("I")
        else image
    )


def extreme_samples(data: bytes) -> tuple[float, float]:
    """The least and the largest sample of an image of more than 8 bits.

    Raises:
        UnreadableImage: not such an image, or one that cannot be read.
    """
    image = _open(data)
    with _explain_failures():
        samples, _ = read_samples(image, lambda: _open(data))
        return float(samples.min()), float(samples.max())


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
