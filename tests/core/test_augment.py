"""Augmentation against torchvision's, image by image, and against the published cutout rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as tv

from pcdarts_tune.core.images.augment import (
    Augmentation,
    channel_constants,
    imagenet_transform,
    normalize_images,
)
from pcdarts_tune.core.images.decode import to_image

MEAN, STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)
PIECES = Path(__file__).parent.parent / "reference" / "small_pieces.json"


def random_images(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def one_by_one(augment: Augmentation, images: Tensor, draws: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The published recipe as its code writes it: torchvision's operations on one PIL image after the other."""
    done = []
    for image, (top, left, flip, row, column) in zip(images, draws.tolist(), strict=True):
        height, width = image.shape[1:]
        pil = tv.crop(tv.pad(to_image(image), [augment.crop_padding] * 4, fill=0), top, left, height, width)
        if flip:
            pil = tv.hflip(pil)
        x = tv.normalize(tv.to_tensor(pil), mean.flatten().tolist(), std.flatten().tolist())
        half = augment.cutout // 2
        x[
            :, max(0, row - half) : min(height, row + half), max(0, column - half) : min(width, column + half)
        ] = 0
        done.append(x)
    return torch.stack(done)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    padding=st.integers(0, 4),
    flip=st.booleans(),
    cutout=st.integers(0, 20),
    seed=st.integers(0, 2**31),
)
def test_equals_torchvision_image_by_image(
    count: int, channels: int, height: int, width: int, padding: int, flip: bool, cutout: int, seed: int
) -> None:
    images = random_images(count, channels, height, width, seed)
    augment = Augmentation(padding, flip, cutout)
    draws = augment.draw(count, (height, width), torch.Generator().manual_seed(seed))
    mean, std = channel_constants(MEAN[:channels], "cpu"), channel_constants(STD[:channels], "cpu")
    got = augment(images, draws, mean, std)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert torch.equal(got, one_by_one(augment, images, draws, mean, std))


def test_what_happens_to_an_image_depends_on_its_row_alone() -> None:
    images, augment = random_images(32, 3, 16, 16), Augmentation(4, True, 8)
    draws = augment.draw(32, (16, 16), torch.Generator().manual_seed(1))
    mean, std = channel_constants(MEAN, "cpu"), channel_constants(STD, "cpu")
    together = augment(images, draws, mean, std)
    alone = torch.cat([augment(images[i : i + 1], draws[i : i + 1], mean, std) for i in range(32)])
    assert torch.equal(together, alone)
    assert len({tuple(row) for row in draws.tolist()}) > 20, "images of a batch get draws of their own"


def test_draws_are_uniform() -> None:
    draws = Augmentation(4, True, 16).draw(90_000, (32, 32), torch.Generator().manual_seed(0))
    for column, end in enumerate((9, 9, 2, 32, 32)):
        counts = torch.bincount(draws[:, column], minlength=end)
        assert len(counts) == end
        expected = 90_000 / end
        chi_squared = ((counts - expected) ** 2 / expected).sum()
        assert chi_squared < 2.5 * end + 10


def test_switched_off_parts_draw_nothing() -> None:
    draws = Augmentation(0, False, 0).draw(100, (8, 8), torch.Generator().manual_seed(0))
    assert not draws[:, :3].any()


def test_cutout_is_the_published_rule() -> None:
    rule = json.loads(PIECES.read_text())["cutout_length16_32x32"]
    assert rule.startswith(
        "mask rows [max(0,y-8),min(32,y+8)) x cols [max(0,x-8),min(32,x+8)) set to 0 after Normalize"
    )
    augment = Augmentation(0, False, 16)
    centres = [(row, column) for row in (0, 7, 8, 15, 24, 25, 31) for column in (0, 3, 8, 16, 31)]
    draws = torch.tensor([[0, 0, 0, row, column] for row, column in centres])
    images = torch.full((len(centres), 1, 32, 32), 200, dtype=torch.uint8)
    got = (
        augment(images, draws, channel_constants((0.1,), "cpu"), channel_constants((0.5,), "cpu"))[:, 0] == 0
    )
    for masked, (y, x) in zip(got, centres, strict=True):
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[max(0, y - 8) : min(32, y + 8), max(0, x - 8) : min(32, x + 8)] = True
        assert torch.equal(masked, expected)


def test_padding_is_black_before_normalising_and_cutout_grey_after() -> None:
    images = torch.full((1, 1, 4, 4), 255, dtype=torch.uint8)
    mean, std = channel_constants((0.5,), "cpu"), channel_constants((0.25,), "cpu")
    cropped = Augmentation(2, False, 0)(images, torch.tensor([[0, 2, 0, 0, 0]]), mean, std)[0, 0]
    assert cropped[:2].eq(-2).all()
    assert cropped[2:].eq(2).all()
    cut = Augmentation(0, False, 2)(images, torch.tensor([[0, 0, 0, 0, 0]]), mean, std)[0, 0]
    assert cut[0, 0] == 0
    assert cut.flatten()[1:].eq(2).all()


def test_images_are_left_as_they_were() -> None:
    images = random_images(4, 3, 8, 8)
    before, augment = images.clone(), Augmentation(0, False, 4)
    mean, std = channel_constants(MEAN, "cpu"), channel_constants(STD, "cpu")
    augment(images, augment.draw(4, (8, 8), torch.Generator()), mean, std)
    normalize_images(images, mean, std)
    assert torch.equal(images, before)


@pytest.mark.parametrize("lengths", [{"crop_padding": -1}, {"cutout": -2}])
def test_negative_lengths_are_refused(lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Augmentation(**lengths)  # type: ignore[arg-type]


def test_imagenet_training_transform() -> None:
    image = Image.new("RGB", (300, 200), (200, 10, 10))
    transform = imagenet_transform((64, 64), train=True, color_jitter=(0.4, 0.4, 0.4, 0.2))
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        out = transform(image)
        assert (out.size, out.mode) == ((64, 64), "RGB")
        seen.add(out.tobytes())
        torch.manual_seed(seed)
        assert transform(image).tobytes() == out.tobytes()
    assert len(seen) == 8


def test_imagenet_evaluation_resizes_to_256_and_crops_the_centre() -> None:
    image = Image.effect_mandelbrot((500, 375), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    got = imagenet_transform((224, 224), train=False)(image)
    expected = image.resize((341, 256), Image.Resampling.BILINEAR).crop((58, 16, 58 + 224, 16 + 224))
    assert got.size == (224, 224)
    assert got.tobytes() == expected.tobytes()
