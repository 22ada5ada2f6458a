"""From the samples in a file to uint8: depth, transparency, orientation, in every format that carries them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.encode import TURN_BACK, as_uint8, png16, tiff

from pcdarts_tune.core.images.conversion import Conversion, UnreadableImage
from pcdarts_tune.core.images.decode import (
    decode_image,
    extreme_samples,
    read_header,
    to_tensor,
)
from pcdarts_tune.core.images.formats import readable_formats

RANDOM = np.random.default_rng(0)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, conversion: Conversion) -> NDArray[np.uint8]:
    """uint8 (H, W, C)."""
    return to_tensor(decode_image(data, conversion)).permute(1, 2, 0).numpy()


def integers(low: int, high: int, channels: int, kind: str) -> NDArray[Any]:
    samples = RANDOM.integers(low, high, (7, 6, channels)).astype(kind)
    samples.flat[0], samples.flat[1] = low, high - 1
    return samples


@pytest.mark.parametrize(
    ("write", "kind", "low", "high"),
    [
        (png16, "u2", 0, 4096),
        (png16, "u2", 0, 256),
        (png16, "u2", 300, 65536),
        (tiff, "u2", 0, 4096),
        (lambda s: tiff(s, order=">"), "u2", 0, 4096),
        (tiff, "i2", -500, 500),
        (tiff, "i4", -1000, 100_000),
        (tiff, "u4", 2**31, 2**32),
        (tiff, "i1", -100, 100),
    ],
)
def test_grey_samples_of_any_depth(
    write: Callable[[NDArray[Any]], bytes], kind: str, low: int, high: int
) -> None:
    samples = integers(low, high, 1, kind)
    data = write(samples)
    header = read_header(data)
    assert (header.samples, header.grey, header.height, header.width) == ("integer", True, 7, 6)
    assert extreme_samples(data) == (low, high - 1)
    found = decoded(data, Conversion(1, sample_range=(low, high - 1)))
    assert np.array_equal(found, as_uint8(samples, low, high - 1))
    with pytest.raises(UnreadableImage, match="more than 8 bits"):
        decode_image(data, Conversion(1))


@pytest.mark.parametrize("write", [png16, tiff, lambda s: tiff(s, order=">")])
@pytest.mark.parametrize("high", [256, 4096, 65536])
def test_colour_of_16_bits_keeps_both_bytes(write: Callable[[NDArray[Any]], bytes], high: int) -> None:
    samples = integers(0, high, 3, "u2")
    assert read_header(write(samples)).samples == "integer"
    found = decoded(write(samples), Conversion(3, sample_range=(0, high - 1)))
    assert np.array_equal(found, as_uint8(samples, 0, high - 1))


@pytest.mark.parametrize(("write", "channels"), [(png16, 2), (png16, 4), (tiff, 4)])
def test_transparency_of_16_bits(write: Callable[[NDArray[Any]], bytes], channels: int) -> None:
    samples = integers(0, 65536, channels, "u2")
    header = read_header(write(samples))
    assert (header.samples, header.grey, header.alpha) == ("integer", channels == 2, True)
    found = decoded(write(samples), Conversion(3, (0, 100, 200), (0, 65535)))
    alpha = samples[..., -1:] / 65535
    levels = as_uint8(samples[..., :-1], 0, 65535)
    expected = np.round(levels * alpha + np.array([0, 100, 200]) * (1 - alpha))
    assert np.array_equal(found, expected)


def test_floating_point_samples() -> None:
    samples = RANDOM.normal(size=(7, 6, 1)).astype("f4")
    low, high = float(samples.min()), float(samples.max())
    assert extreme_samples(tiff(samples)) == (low, high)
    assert np.array_equal(
        decoded(tiff(samples), Conversion(1, sample_range=(low, high))), as_uint8(samples, low, high)
    )
    samples[2, 3] = np.nan
    with pytest.raises(UnreadableImage, match="NaN"):
        decode_image(tiff(samples), Conversion(1, sample_range=(low, high)))


def test_white_is_zero_is_turned_round() -> None:
    samples = integers(0, 65536, 1, "u2")
    found = decoded(tiff(samples, photometric=0), Conversion(1, sample_range=(0, 65535)))
    assert np.array_equal(found, as_uint8(65535 - samples.astype(int), 0, 65535))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 30)])
def test_transparency_is_laid_on_the_background(mode: str, background: tuple[int, int, int]) -> None:
    pixels = RANDOM.integers(0, 256, (7, 6, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    data = encoded(image, transparency={"P": 3, "L": 77, "RGB": (1, 2, 3)}.get(mode))
    image = Image.open(io.BytesIO(data))
    ground = Image.new("RGBA", image.size, (*background, 255))
    expected = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    assert read_header(data).alpha
    assert np.array_equal(decoded(data, Conversion(3, background)), np.asarray(expected))
    grey = decoded(data, Conversion(1, background))[..., 0]
    assert np.array_equal(grey, np.asarray(expected.convert("L")))


def test_black_glyphs_on_a_transparent_ground_stay_visible() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 3:5, 3] = 255
    for kind in ("PNG", "WEBP", "TIFF"):
        data = encoded(
            Image.fromarray(pixels), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})
        )
        found = decoded(data, Conversion(3))
        assert (found[2:6, 3:5] == 0).all(), kind
        assert (found[0] == 255).all(), kind


FORMATS = [
    kind
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO")
    if kind != "AVIF" or "AVIF" in readable_formats()
]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_in_every_format(kind: str, turn: int) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:4], pixels[:, :4] = 250, 120  # a bright bar above, a grey one on the left
    upright = Image.fromarray(pixels)
    stored = upright.transpose(TURN_BACK[turn]) if turn > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {"quality": 95}))
    header = read_header(data)
    assert (header.height, header.width) == (16, 24)
    if kind != "TIFF":  # of which Pillow's size is upright already
        assert header.turned == (turn > 1)
    found = decoded(data, Conversion(3)).astype(int)
    assert np.abs(found - pixels).mean() < 8
    assert abs(found[8, 1].mean() - 120) < 30
    assert found[1, 12].mean() > 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\xff\x06\0\0\0",
        b"nonsense",
    ],
)
def test_damaged_metadata_leaves_an_image_readable(kind: str, exif: bytes) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    plain = decoded(encoded(image, kind, **options), Conversion(3))
    data = encoded(image, kind, exif=b"Exif\0\0" + exif, **options)
    assert np.array_equal(decoded(data, Conversion(3)), plain)
    assert (read_header(data).height, read_header(data).turned) == (16, False)


def test_a_tiff_whose_metadata_points_nowhere() -> None:
    samples = integers(0, 256, 3, "u1")
    data = tiff(samples, exif_at=2**31)
    assert np.array_equal(decoded(data, Conversion(3)), samples)


def test_a_model_that_does_not_say_how_converts_as_before() -> None:
    before = Conversion.from_dict({"channels": 1})
    samples = integers(0, 65536, 1, "u2")
    assert np.array_equal(decoded(png16(samples), before), (samples >> 8).astype(np.uint8))
    glyph = np.zeros((4, 4, 4), np.uint8)
    assert (decoded(encoded(Image.fromarray(glyph)), before) == 0).all()


def test_a_conversion_goes_through_json() -> None:
    for one in (Conversion(3), Conversion(1, (1, 2, 3), (-4.5, 7.0), True)):
        assert Conversion.from_dict({"channels": one.channels, **one.to_dict()}) == one
