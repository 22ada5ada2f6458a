"""A data set of 2,000 images in over thirty layouts, formats and modes, and what is to come of each image.

PYTHONPATH=tests python -m support.make_layouts FOLDER        # writes all and lists them
"""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from support.encode import TURN_BACK, as_uint8, png16, tiff

TOTAL, SIDE = 2000, 8
Pixels = NDArray[np.uint8]
"""uint8 (H, W, C), what docs/data.md promises."""


@dataclass
class Layout:
    """One data set.

    Attributes:
        name: of the layout.
        count: images to write.
        root: `--data`.
        read: (class, bytes of the pixels) -> how many images must come out so.
        left_out: images that are named and not read.
        notes: words that must be said.
        refused: words of the error, where the whole set is refused.
        settings: `--set`.
        files: an image file -> its pixels, for prediction.
    """

    name: str
    count: int
    root: Path
    read: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    left_out: int = 0
    notes: list[str] = field(default_factory=list)
    refused: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[Path, Pixels] = field(default_factory=dict)

    def expect(self, label: str, pixels: Pixels, path: Path | None = None) -> None:
        self.read[label, pixels.tobytes()] += 1
        if path is not None:
            self.files[path] = pixels

    def write(self, path: str, content: bytes, label: str, pixels: Pixels | None) -> None:
        """A file below the root; None for one that is left out."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)
        if pixels is None:
            self.left_out += 1
        else:
            self.expect(label, pixels, full)


Maker = Callable[[Layout, np.random.Generator], None]
MAKERS: list[Maker] = []


def maker(function: Maker) -> Maker:
    MAKERS.append(function)
    return function


def classes(layout: Layout) -> Iterator[tuple[int, str]]:
    """A number and a class for each image, the two classes by turns."""
    return ((number, ("cat", "dog")[number % 2]) for number in range(layout.count))


def rgb(random: np.random.Generator, number: int = 0) -> Pixels:
    """Noise, brighter for the second class."""
    return random.integers(0, 200, (SIDE, SIDE, 3), dtype=np.uint8) + np.uint8(55 * (number % 2))


def save(image: Image.Image | Pixels, kind: str = "PNG", **options: Any) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.squeeze(image))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(content: bytes, mode: str) -> Pixels:
    """Pillow's own conversion of an opaque image of 8 bits."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
    return pixels.reshape(SIDE, SIDE, -1)


def on(background: tuple[int, int, int], content: bytes) -> Pixels:
    """Pillow's own composition of a transparent image on a colour."""
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    ground = Image.new("RGBA", image.size, (*background, 255))
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"))


def _plain(name: str, kind: str, suffix: str, mode: str = "RGB", **options: Any) -> None:
    """Class folders with images of one format and mode."""

    def make(layout: Layout, random: np.random.Generator) -> None:
        for number, label in classes(layout):
            content = save(Image.fromarray(rgb(random, number)).convert(mode), kind, **options)
            grey = mode in ("L", "1")
            layout.write(
                f"{label}/{number}{suffix}", content, label, by_pillow(content, "L" if grey else "RGB")
            )

    make.__name__ = name
    maker(make)


for _name, _kind, _suffix, _mode in (
    ("png", "PNG", ".png", "RGB"),
    ("jpeg_grey", "JPEG", ".jpg", "L"),
    ("gif", "GIF", ".gif", "P"),
    ("bmp", "BMP", ".bmp", "RGB"),
    ("tiff_8", "TIFF", ".tif", "RGB"),
    ("one_bit", "PNG", ".png", "1"),
    ("palette", "PNG", ".png", "P"),
    ("cmyk_jpeg", "JPEG", ".jpg", "CMYK"),
    ("cmyk_tiff", "TIFF", ".tiff", "CMYK"),
    ("ppm", "PPM", ".ppm", "RGB"),
):
    _plain(_name, _kind, _suffix, _mode)
_plain("webp", "WEBP", ".webp", lossless=True)


def _deep(
    name: str,
    write: Callable[[NDArray[Any]], bytes],
    suffix: str,
    kind: str,
    low: float,
    high: float,
    channels: int = 1,
) -> None:
    """Class folders with images of more than 8 bits a sample, scaled by the range of the set."""

    def make(layout: Layout, random: np.random.Generator) -> None:
        for number, label in classes(layout):
            samples = random.uniform(low, high, (SIDE, SIDE, channels)).astype(kind)
            samples.flat[:2] = low, high
            pixels = as_uint8(samples, float(np.array(low, kind)), float(np.array(high, kind)))
            layout.write(f"{label}/{number}{suffix}", write(samples), label, pixels)
        layout.notes.append("more than 8 bits a sample")

    make.__name__ = name
    maker(make)


_deep("png_12_in_16", png16, ".png", "u2", 0, 4095)
_deep("png_8_in_16", png16, ".png", "u2", 0, 255)
_deep("png_16_colour", png16, ".png", "u2", 17, 4000, 3)
_deep("tiff_16_colour", tiff, ".tif", "u2", 0, 65535, 3)
_deep("tiff_int32", tiff, ".tif", "i4", -1000, 100_000)
_deep("tiff_float", tiff, ".tiff", "f4", -0.5, 1.5)


@maker
def tiff_stated_range(layout: Layout, random: np.random.Generator) -> None:
    """A range that the user states, with samples outside it."""
    for number, label in classes(layout):
        samples = random.integers(-200, 1200, (SIDE, SIDE, 1)).astype("i2")
        layout.write(f"{label}/{number}.tif", tiff(samples), label, as_uint8(samples, 0, 1000))
    layout.settings["sample_range"] = (0.0, 1000.0)
    layout.notes.append("samples outside 0..1000")


@maker
def glyphs(layout: Layout, random: np.random.Generator) -> None:
    """Black on transparent."""
    for number, label in classes(layout):
        pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
        pixels[..., 3] = random.integers(0, 256, (SIDE, SIDE))
        content = save(pixels)
        layout.write(f"{label}/{number}.png", content, label, on((255, 255, 255), content))
    layout.notes.append("laid on white")


@maker
def grey_and_alpha(layout: Layout, random: np.random.Generator) -> None:
    for number, label in classes(layout):
        content = save(Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 2), dtype=np.uint8), "LA"))
        layout.write(f"{label}/{number}.png", content, label, on((0, 0, 0), content)[..., :1].copy())
    layout.settings["background"] = (0, 0, 0)
    layout.notes.append("laid on [0, 0, 0]")


@maker
def palette_with_a_hole(layout: Layout, random: np.random.Generator) -> None:
    for number, label in classes(layout):
        content = save(Image.fromarray(rgb(random, number)).quantize(16), transparency=3)
        layout.write(f"{label}/{number}.png", content, label, on((255, 255, 255), content))


@maker
def orientation(layout: Layout, random: np.random.Generator) -> None:
    """All eight ways to hold a camera, in four formats."""
    for number, label in classes(layout):
        turn, kind = number % 8 + 1, ("PNG", "WEBP", "TIFF", "JPEG")[number // 8 % 4]
        upright = Image.fromarray(rgb(random, number))
        exif = Image.Exif()
        exif[0x0112] = turn
        stored = upright.transpose(TURN_BACK[turn]) if turn > 1 else upright
        content = save(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
        pixels = np.asarray(upright)
        if kind == "JPEG":  # what its compression made of it, turned by hand
            image = Image.open(io.BytesIO(save(stored, kind)))
            forth = {6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
            pixels = np.asarray(image.transpose(forth.get(turn, TURN_BACK.get(turn))) if turn > 1 else image)
        layout.write(f"{label}/{number}.{kind.lower()}", content, label, pixels)
    layout.notes.append("turned upright")


@maker
def suffixes(layout: Layout, random: np.random.Generator) -> None:
    """JPEG under other names, and without a suffix."""
    for number, label in classes(layout):
        suffix = (".jfif", ".jpe", "", ".scan", ".JPG")[number % 5]
        content = save(rgb(random, number), "JPEG")
        layout.write(f"{label}/{number}{suffix}", content, label, by_pillow(content, "RGB"))
    layout.notes.append("files whose suffix does not say so")


@maker
def left_out(layout: Layout, random: np.random.Generator) -> None:
    """Files that nothing here reads, beside images."""
    for number, label in classes(layout):
        content = save(rgb(random, number))
        if number % 6 == 0:
            layout.write(f"{label}/{number}.nef", b"II*\0" + content, label, None)
        elif number % 6 == 3:
            layout.write(f"{label}/{number}.svg", b"<svg/>", label, None)
        else:
            layout.write(f"{label}/{number}.png", content, label, by_pillow(content, "RGB"))
    layout.notes += [".nef", ".svg"]


@maker
def damaged(layout: Layout, random: np.random.Generator) -> None:
    for number, label in classes(layout):
        content = save(rgb(random, number))
        broken = number in (7, 12)
        pixels = None if broken else by_pillow(content, "RGB")
        layout.write(f"{label}/{number}.png", content[:40] if broken else content, label, pixels)

    layout.settings["max_unreadable"] = 0.1
    layout.notes.append("2 unreadable training images")


@maker
def mixed_modes(layout: Layout, random: np.random.Generator) -> None:
    """Grey, colour, palettes and transparency side by side."""
    for number, label in classes(layout):
        image = Image.fromarray(rgb(random, number)).convert(("L", "RGB", "P", "RGBA")[number % 4])
        content = save(image)
        layout.write(f"{label}/{number}.png", content, label, on((255, 255, 255), content))
    layout.notes.append("grey images among coloured ones")


def _splits(name: str, train: str, test: str, notes: list[str], unread: str | None = None) -> None:
    """Folders of splits; those of `unread` hold images that are not read."""

    def make(layout: Layout, random: np.random.Generator) -> None:
        for number, label in classes(layout):
            content = save(rgb(random, number))
            if unread and number % 5 == 4:
                layout.write(f"{unread.format(label=label)}/{number}.png", content, label, None)
                continue
            part = test if number % 5 == 3 else train
            layout.write(f"{part}/{label}/{number}.png", content, label, by_pillow(content, "RGB"))
        layout.notes += notes

    make.__name__ = name
    maker(make)


_splits("training_set", "training_set", "test_set", [])
_splits("seg_nested", "seg_train/seg_train", "seg_test/seg_test", ["not read: seg_pred/"], "seg_pred")
_splits("train_images", "train_images", "dev_images", [])
_splits("test_without_labels", "train", "valid", ["no labels", "valid/ is the test split"], "test")
_splits("test_unknown", "train", "val", ["no labels"], "test/unknown")


@maker
def unicode_forms(layout: Layout, random: np.random.Generator) -> None:
    """The same name in two normal forms."""
    names = {"cat": "caf\u00e9", "dog": "na\u00efve"}
    for number, label in classes(layout):
        content, test = save(rgb(random, number)), number % 5 == 3
        folder = unicodedata.normalize("NFD" if test else "NFC", names[label])
        layout.write(
            f"{'test' if test else 'train'}/{folder}/{number}.png",
            content,
            names[label],
            by_pillow(content, "RGB"),
        )


def _refused(name: str, place: str, why: str) -> None:
    def make(layout: Layout, random: np.random.Generator) -> None:
        for number, label in classes(layout):
            part = ("train", "test", "val")[number // 2 % 3]
            path = place.format(fold=number // 2 % 3, part=part, label=label, number=number)
            layout.write(path, save(rgb(random, number)), label, None)
        layout.refused = why

    make.__name__ = name
    maker(make)


_refused("folds", "fold{fold}/{label}/{number}.png", "hold the same folders")
_refused("class_then_split", "{label}/{part}/{number}.png", "holds the splits")
_refused("splits_without_classes", "{part}_images/{label}{number}.png", "no class folders")


def _table(
    layout: Layout, path: str, rows: list[tuple[bytes | None, str | None, Any]], metadata: dict[str, str]
) -> None:
    images = [{"bytes": content, "path": name} for content, name, _ in rows]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": [label for *_, label in rows]})
    full = layout.root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), full)


def _rows(layout: Layout, random: np.random.Generator, start: int, end: int) -> list[tuple[bytes, str, int]]:
    rows = []
    for number in range(start, end):
        content = save(rgb(random, number))
        layout.expect(("cat", "dog")[number % 2], by_pillow(content, "RGB"))
        rows.append((content, f"{number}.png", number % 2))
    return rows


_FEATURES = {"label": {"names": ["cat", "dog", "eel"], "_type": "ClassLabel"}}
_HUGGING_FACE = {"huggingface": json.dumps({"info": {"features": _FEATURES}})}


@maker
def hugging_face_shards(layout: Layout, random: np.random.Generator) -> None:
    """Two shards with hashes, a validation split, a test split of -1, a class without images."""
    third = layout.count // 3
    for shard, name in enumerate(("0123456789abcdef", "fedcba9876543210")):
        rows = _rows(layout, random, shard * third, (shard + 1) * third)
        _table(layout, f"data/train-0000{shard}-of-00002-{name}.parquet", rows, _HUGGING_FACE)
    rest = layout.count - 2 * third
    checked = _rows(layout, random, 2 * third, 2 * third + rest // 2)
    _table(layout, "data/validation-00000-of-00001.parquet", checked, _HUGGING_FACE)
    without = [(save(rgb(random)), "x.png", -1) for _ in range(rest - rest // 2)]
    _table(layout, "data/test-00000-of-00001.parquet", without, _HUGGING_FACE)
    layout.left_out += len(without)
    layout.notes += ["test split have no labels", "1 classes have no images and are left out: eel"]


@maker
def hugging_face_converted(layout: Layout, random: np.random.Generator) -> None:
    """CONFIG/SPLIT/0000.parquet."""
    most = layout.count * 4 // 5
    _table(layout, "plain_text/train/0000.parquet", _rows(layout, random, 0, most), _HUGGING_FACE)
    _table(layout, "plain_text/test/0000.parquet", _rows(layout, random, most, layout.count), _HUGGING_FACE)


@maker
def parquet_with_paths(layout: Layout, random: np.random.Generator) -> None:
    """Images beside the file, and names as a JSON list."""
    rows: list[tuple[bytes | None, str | None, Any]] = []
    for number, label in classes(layout):
        content = save(rgb(random, number))
        layout.write(f"images/{number}.png", content, label, by_pillow(content, "RGB"))
        rows.append((None, f"images/{number}.png", number % 2))
    _table(layout, "train.parquet", rows, {"class_names": '["cat", "dog"]'})


@maker
def duplicates(layout: Layout, random: np.random.Generator) -> None:
    """Eight training images again among the test images."""
    shown: list[bytes] = []
    for number, label in classes(layout):
        again = number >= layout.count - 8
        content = shown[number - layout.count + 8] if again else save(rgb(random, number))
        shown += [] if again else [content]
        label = ("cat", "dog")[shown.index(content) % 2]
        layout.write(
            f"{'test' if again or number % 5 == 3 else 'train'}/{label}/{number}.png",
            content,
            label,
            by_pillow(content, "RGB"),
        )
    layout.notes.append("test images are also training images")


def make_layouts(folder: Path) -> list[Layout]:
    """Write them all, 2,000 images together."""
    made = []
    for number, make in enumerate(MAKERS):
        count = TOTAL // len(MAKERS) + (number < TOTAL % len(MAKERS))
        layout = Layout(make.__name__, count, folder / make.__name__)
        layout.root.mkdir(parents=True)
        make(layout, np.random.default_rng(number))
        made.append(layout)
    return made


if __name__ == "__main__":
    for each in make_layouts(Path(sys.argv[1])):
        print(f"{each.name}: {each.count} images, {sum(each.read.values())} read, {each.left_out} left out")
