"""Bad image folders and parquet files: taken with what is wrong said, or refused; nothing is waited for, unpickled or left
half-written.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.fuzzing import TITLE, Bomb, fuzz, run_command, unfinished, well_told

SPACE = """\
name: mine
data: {dataset: folder, held_out: 0.2%s}
supernet: {channels: 4, layers: 3, k: 2}
search: {epochs: 1, arch_warmup_epochs: 0, batch_size: 2}
evaluation: {channels: 4, layers: 3, epochs: 1}
"""
MODES = {
    "L": "png",
    "RGB": "png",
    "RGBA": "png",
    "P": "gif",
    "1": "png",
    "I;16": "png",
    "F": "tiff",
    "CMYK": "jpg",
    "LA": "png",
}
NAMES = (
    "cat",
    "dog",
    "é日",
    "a b",
    "[red]x[/red]",
    "-rf",
    "train",
    "test",
    "val",
    ".hidden",
    "__MACOSX",
    TITLE[1:5] + "\x1b[31m",
    "x" * 200,
)
WORDS = st.sampled_from(NAMES)


def encoded(mode: str = "L", size: tuple[int, int] = (8, 8), kind: str | None = None) -> bytes:
    """An image file."""
    file = io.BytesIO()
    Image.new(mode, size, 100 if mode in ("L", "I;16", "1", "P") else None).save(
        file, {"jpg": "JPEG"}.get(kind or MODES[mode], kind or MODES[mode])
    )
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_says(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG whose header promises a size that its few bytes do not hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


BROKEN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"not an image",
    "cut off": lambda: encoded("RGB", (64, 64))[:60],
    "cut off jpeg": lambda: encoded("RGB", (64, 64), "jpg")[:200],
    "header alone": lambda: encoded()[:33],
    "a bomb": lambda: png_that_says(60_000, 60_000),
    "no pixels": lambda: png_that_says(0, 8),
    "too wide for a number": lambda: png_that_says(2**31 - 1, 2**31 - 1),
    "compressed text": lambda: png_that_says(
        8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 80_000_000))
    ),
    "a pickle": lambda: pickle.dumps(Bomb()),
    "html": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch run) (w) file\n",
}


class Folder:
    """A data folder in the making: each method is one thing that can be wrong with it."""

    def __init__(self, root: Path, draw: Callable[..., Any]) -> None:
        self.root, self.draw = root, draw
        self.classes = [
            root / part / name
            for part in draw(st.sampled_from([("",), ("train", "test"), ("train", "val")]))
            for name in ("a", "b")
        ]
        for number, folder in enumerate(self.classes):
            folder.mkdir(parents=True)
            for image in range(draw(st.sampled_from([0, 1, 5, 8]) if draw(st.booleans()) else st.just(8))):
                (folder / f"{image}.png").write_bytes(encoded("L" if number % 2 else "RGB"))

    def somewhere(self) -> Path:
        return self.draw(st.sampled_from([*self.classes, self.root]))

    def file(self, content: bytes, suffix: str = ".png") -> None:
        (self.somewhere() / f"{self.draw(st.integers(0, 99))}{suffix}").write_bytes(content)

    def broken_image(self) -> None:
        self.file(
            BROKEN[self.draw(st.sampled_from(sorted(BROKEN)))](),
            self.draw(st.sampled_from([".png", ".JPG", ".gif", ".webp", ".tif"])),
        )

    def odd_image(self) -> None:
        mode = self.draw(st.sampled_from(sorted(MODES)))
        size = self.draw(st.sampled_from([(1, 1), (8, 8), (3, 200), (33, 17), (400, 300)]))
        self.file(encoded(mode, size), f".{MODES[mode]}")

    def odd_folder(self) -> None:
        (self.somewhere() / self.draw(WORDS)).mkdir(exist_ok=True)

    def class_of_its_own(self) -> None:
        folder = self.somewhere().parent / self.draw(WORDS)
        folder.mkdir(exist_ok=True)
        for image in range(self.draw(st.sampled_from([1, 6]))):
            (folder / f"{image}.png").write_bytes(encoded())

    def class_that_goes(self) -> None:
        shutil.rmtree(self.draw(st.sampled_from(self.classes)), ignore_errors=True)
        self.classes[0].mkdir(parents=True, exist_ok=True)

    def link(self) -> None:
        where = self.somewhere()
        target = self.draw(
            st.sampled_from([where, self.root, Path("/nowhere"), Path("/dev/zero"), Path("/proc/self/root")])
        )
        with_suffix = self.draw(st.sampled_from(["link", "link.png", "link.parquet"]))
        if target == Path("/proc/self/root") and with_suffix == "link":
            return  # the whole disk is a folder of images too, and reading it is what was asked for
        if not (where / with_suffix).is_symlink():
            (where / with_suffix).symlink_to(target)

    def link_to_itself(self) -> None:
        path = self.somewhere() / self.draw(st.sampled_from(["me", "me.png", "me.parquet"]))
        if not path.is_symlink():
            path.symlink_to(path)

    def pipe(self) -> None:
        path = self.somewhere() / self.draw(st.sampled_from(["pipe.png", "pipe.parquet", "pipe"]))
        if not path.exists():
            os.mkfifo(path)

    def unreadable(self) -> None:
        found = [path for path in self.root.rglob("*.png") if path.is_file()]
        if found:
            self.draw(st.sampled_from(sorted(found))).chmod(0)

    def sparse(self) -> None:
        with (self.somewhere() / "huge.png").open("wb") as file:
            file.truncate(2**40)

    def pickles(self) -> None:
        folder = self.root / "cifar-10-batches-py"
        folder.mkdir(exist_ok=True)
        for name in ("data_batch_1", "test_batch", "batches.meta"):
            (folder / name).write_bytes(pickle.dumps(Bomb()))

    def parquet(self) -> None:
        content = self.draw(parquets())
        name = self.draw(
            st.sampled_from(["train.parquet", "test.parquet", "data.parquet", "other-train.parquet"])
        )
        self.somewhere().joinpath(name).write_bytes(content)


@st.composite
def parquets(draw: Callable[..., Any]) -> bytes:
    """A parquet file of eight images, wrong in some way."""
    count = draw(st.sampled_from([0, 1, 12]))
    images: Any = draw(
        st.sampled_from(
            [
                [encoded()] * count,
                [{"bytes": encoded(), "path": "x"}] * count,
                [None] * count,
                [b""] * count,
                [{"path": "x"}] * count,
                ["text"] * count,
                [1] * count,
                [[1, 2]] * count,
                [{"bytes": None}] * count,
                [BROKEN["a bomb"]()] * count,
                [pickle.dumps(Bomb())] * count,
            ]
        )
    )
    labels: Any = draw(
        st.sampled_from(
            [
                [place % 2 for place in range(count)],
                [str(place % 2) for place in range(count)],
                [-1] * count,
                [None] * count,
                [10**12] * count,
                [0.5] * count,
                [[1]] * count,
                [0] * count,
                [TITLE] * count,
                [True, False] * (count // 2) + [True] * (count % 2),
            ]
        )
    )
    columns = draw(
        st.sampled_from(
            [
                ("image", "label"),
                ("image", "label"),
                ("img", "fine_label"),
                ("image",),
                ("x", "y"),
                ("image", "image"),
            ]
        )
    )
    table = pa.Table.from_arrays([pa.array(images), pa.array(labels)][: len(columns)], names=list(columns))
    metadata = draw(st.sampled_from([None, None, b"a,b", b"a", b",", b"\xff", b"a," * 5000]))
    if metadata is not None:
        table = table.replace_schema_metadata({b"class_names": metadata, b"huggingface": b"{" * 50})
    file = io.BytesIO()
    pq.write_table(table, file)
    content = file.getvalue()
    match draw(st.integers(0, 5)):
        case 0:
            content = content[: draw(st.integers(0, len(content)))]
        case 1:
            place = draw(st.integers(0, len(content)))
            content = content[:place] + draw(st.binary(min_size=1, max_size=8)) + content[place + 1 :]
    return content


WRONGS = sorted(
    name for name in vars(Folder) if not name.startswith("_") and name not in ("somewhere", "file")
)


@fuzz(100)
@given(data=st.data())
def test_any_data_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    place = tmp_path_factory.mktemp("data")
    try:
        folder = Folder(place / "images", data.draw)
        for _ in range(data.draw(st.integers(0, 3))):
            getattr(folder, data.draw(st.sampled_from(WRONGS)))()
        streamed = data.draw(
            st.sampled_from(["", "", ", memory_limit_gb: 1.0e-9", ", image_size: 8", ", split: published"])
        )
        (place / "mine.yaml").write_text(SPACE % streamed)
        # a checkpoint that nobody can go on from: whatever the images are, nothing is trained
        (place / "out.json.checkpoint").write_bytes(b"damaged")
        root = data.draw(
            st.sampled_from(
                [
                    folder.root,
                    folder.root,
                    folder.root,
                    *folder.classes[:1],
                    *sorted(folder.root.rglob("*.parquet"))[:1],
                ]
            )
        )
        words = [
            "search",
            "--space",
            str(place / "mine.yaml"),
            "--data",
            str(root),
            "-o",
            str(place / "out.json"),
        ]
        said = run_command([*words, "--home", str(place / "home")], seconds=60)
        well_told(said, legal=(2,))
        if "checkpoint" not in said.err.split("Error: ", 1)[1]:
            assert str(place / "images") in said.err or "images" in said.err
        assert unfinished(place / "home") == []
        assert not (Path.cwd() / "run").exists(), "code in a file was run"
        assert not (place / "out.json").exists()
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize(
    "kind",
    ["fifo", "device", "link to itself", "a file", "empty.parquet", "a name too long", "~nobody-here/x"],
)
def test_what_is_no_folder_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    root: str | Path = tmp_path / "odd"
    if kind == "fifo":
        os.mkfifo(root)
    elif kind == "device":
        root = "/dev/zero"
    elif kind == "link to itself":
        Path(root).symlink_to(root)
    elif kind == "a file":
        Path(root).write_text("x")
    elif kind == "empty.parquet":
        (root := tmp_path / kind).touch()
    else:
        root = kind if kind.startswith("~") else tmp_path / ("x" * 300)
    said = run_command(
        ["search", "--space", "quickstart", "--data", str(root), "--home", str(tmp_path / "home")], seconds=20
    )
    well_told(said, legal=(2,))
    assert not (tmp_path / "home").exists()
