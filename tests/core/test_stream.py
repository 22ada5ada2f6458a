"""Streams: the protocol of MemoryBatches, from files that are decoded while the network trains."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pcdarts_tune.core.images.augment import Augmentation, imagenet_transform
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.images.decode import (
    MAX_PIXELS,
    UnreadableImage,
    decode_image,
    fit,
    read_header,
    to_image,
    to_tensor,
)
from pcdarts_tune.core.images.stream import FileSource, StreamBatches, StreamImages, TensorImages

COUNT, SIZE = 21, (12, 8)
KNOWN = {"num_classes": 3, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}


@pytest.fixture
def pixels() -> Tensor:
    return torch.randint(
        0, 256, (COUNT, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(COUNT) % 3


@pytest.fixture
def images(pixels: Tensor, tmp_path: Path) -> StreamImages:
    paths = [tmp_path / f"{index:03}.png" for index in range(COUNT)]
    for path, x in zip(paths, pixels, strict=True):
        to_image(x).save(path)
    return StreamImages(FileSource(tuple(map(str, paths))), torch.arange(COUNT), SIZE, 3)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("augment", [None, Augmentation(2, True, 4)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_equals_the_same_images_in_memory(
    images: StreamImages, pixels: Tensor, labels: Tensor, augment: Augmentation | None, workers: int
) -> None:
    stream = StreamBatches(images, labels, augment=augment, workers=workers, **KNOWN)  # type: ignore[arg-type]
    memory = MemoryBatches(pixels, labels, augment=augment, **KNOWN)  # type: ignore[arg-type]
    assert (len(stream), stream.image_size, stream.in_channels) == (COUNT, SIZE, 3)
    for keys in (
        {"epoch": 0, "seed": 0},
        {"epoch": 3, "seed": 1, "shuffle": False},
        {"epoch": 1, "seed": 1},
    ):
        pairs = zip(stream.epoch(5, **keys), memory.epoch(5, **keys), strict=True)  # type: ignore[arg-type]
        for (x, y), (u, v) in pairs:
            assert torch.equal(x, u)
            assert torch.equal(y, v)
            assert x.is_contiguous()


def test_transforms_are_keyed_by_sample_whoever_decodes(images: StreamImages, labels: Tensor) -> None:
    transform = imagenet_transform(SIZE, train=True, color_jitter=(0.4, 0.4, 0.4, 0.2))

    def epoch(workers: int, batch_size: int, **keys: int) -> Tensor:
        stream = StreamBatches(images, labels, transform=transform, workers=workers, **KNOWN)  # type: ignore[arg-type]
        return torch.cat([x for x, _ in stream.epoch(batch_size, shuffle=False, **keys)])  # type: ignore[arg-type]

    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = epoch(0, 5, epoch=0, seed=0)
    assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"
    assert torch.equal(first, epoch(2, 4, epoch=0, seed=0))
    assert not torch.equal(first, epoch(0, 5, epoch=1, seed=0))
    assert not torch.equal(first, epoch(0, 5, epoch=0, seed=1))


def test_images_in_memory_can_go_through_the_transform(
    pixels: Tensor, labels: Tensor, images: StreamImages
) -> None:
    transform = imagenet_transform(SIZE, train=True)
    ours = StreamBatches(TensorImages(pixels), labels, transform=transform, **KNOWN)  # type: ignore[arg-type]
    theirs = StreamBatches(images, labels, transform=transform, **KNOWN)  # type: ignore[arg-type]
    for (x, _), (u, _) in zip(ours.epoch(8, epoch=0, seed=0), theirs.epoch(8, epoch=0, seed=0), strict=True):
        assert torch.equal(x, u)


def test_rows_are_chosen_like_a_tensors(images: StreamImages, pixels: Tensor) -> None:
    rows = torch.tensor([7, 2, 9])
    some = images[rows]
    assert some.shape == (3, 3, *SIZE)
    assert torch.equal(to_tensor(some[1:].decode(1, resize=True)), pixels[9])
    assert len(images[rows[:0]]) == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_files_are_left_out_and_named(images: StreamImages, labels: Tensor, workers: int) -> None:
    Path(images.name(4)).write_bytes(b"no image")
    Path(images.name(5)).unlink()
    stream = StreamBatches(images, labels, workers=workers, max_unreadable=0.1, **KNOWN)  # type: ignore[arg-type]
    sizes = [len(y) for _, y in stream.epoch(2, epoch=0, seed=0, shuffle=False)]
    assert sizes == [2, 2] + [2] * 7 + [1], "a batch with nothing left is left out"
    assert set(stream.unreadable) == {images.name(4), images.name(5)}
    strict = StreamBatches(images, labels, workers=workers, **KNOWN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"of 21 images cannot be decoded.*004\.png.*Repair or remove"):
        list(strict.epoch(4, epoch=0, seed=0))


def test_sizes_and_orientation() -> None:
    image = Image.new("RGB", (40, 20))
    image.paste((255, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    data = encoded(image, "JPEG", exif=exif, quality=95)
    header = read_header(data)
    assert (header.height, header.width, header.grey) == (40, 20, False)
    upright = decode_image(data, 3)
    assert upright.size == (20, 40)
    red, _, _ = upright.getpixel((10, 5))  # type: ignore[misc]
    assert red > 200
    assert fit(upright, (10, 10)).size == (10, 10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_modes(mode: str, channels: int) -> None:
    image = Image.new(mode, (6, 5), 40000 if mode == "I;16" else 0)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    assert read_header(data).grey == (mode in ("1", "L", "LA", "I;16"))
    x = to_tensor(decode_image(data, channels))
    assert x.shape == (channels, 5, 6)
    if mode == "I;16":
        assert (x == 40000 >> 8).all()


def test_files_that_give_no_image() -> None:
    bomb = encoded(Image.new("1", (MAX_PIXELS // 4096 + 1, 4096)))
    whole = encoded(Image.effect_noise((64, 64), 50), "JPEG")
    for data, reason in (
        (b"", "empty"),
        (b"GIF89a", "begins as GIF, but is damaged"),
        (b"%!PS-Adobe", "not an image"),
        (bomb, "megapixels"),
        (whole[: len(whole) // 2], "truncated"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            decode_image(data, 3)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    keep=st.floats(0, 1),
)
def test_damage_gives_an_image_or_a_reason(kind: str, changes: list[tuple[float, int]], keep: float) -> None:
    data = bytearray(encoded(Image.linear_gradient("L").resize((24, 24)).convert("RGB"), kind))
    for place, value in changes:
        data[int(place * len(data))] = value
    data = data[: round(keep * len(data))]
    with contextlib.suppress(UnreadableImage):  # and nothing else may be raised
        read_header(bytes(data))
        image = decode_image(bytes(data), 3, at_least=(8, 8))
        assert to_tensor(fit(image, (8, 8))).shape == (3, 8, 8)


def test_a_large_photograph_is_reduced_as_well_as_when_decoded_whole() -> None:
    image = Image.effect_mandelbrot((1600, 1200), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    data = encoded(image, "JPEG", quality=95)
    quick = to_tensor(fit(decode_image(data, 3, at_least=(64, 64)), (64, 64))).float()
    slow = to_tensor(fit(decode_image(data, 3), (64, 64))).float()
    assert (quick - slow).abs().mean() < 3
