"""Image files that Pillow does not write (16-bit colour, signed and floating-point samples), and the turns of EXIF."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> what turns an upright image into the pixels that are stored with it."""


def png16(samples: NDArray[Any]) -> bytes:
    """uint16 (H, W, C) as PNG of 16 bits a sample, C from 1 to 4; its rows are filtered by turns with all five filters."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = samples.astype(">u2").tobytes()
    stride, step = 2 * channels * width, 2 * channels
    lines, before = bytearray(), bytes(stride)
    for row in range(height):
        line = rows[row * stride : (row + 1) * stride]
        lines += bytes([row % 5]) + _filter(row % 5, line, before, step)
        before = line
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _filter(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """PNG specification, section 9."""
    found = bytearray()
    for at, value in enumerate(line):
        a = line[at - step] if at >= step else 0
        b, c = above[at], above[at - step] if at >= step else 0
        nearest = min((a, b, c), key=lambda each: abs(a + b - c - each))
        found.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(found)


def tiff(
    samples: NDArray[Any], *, order: str = "<", photometric: int | None = None, exif_at: int | None = None
) -> bytes:
    """(H, W, C) of any type as uncompressed TIFF in one strip; C from 1 to 4, the fourth one opacity.

    Args:
        order: of bytes, as in struct.
        exif_at: where a block of metadata is said to be.
    """
    height, width, channels = samples.shape
    content = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    form = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    bits = 8 * samples.dtype.itemsize
    kind = photometric if photometric is not None else (2 if channels > 2 else 1)
    tags: list[tuple[int, int, list[int]]] = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * channels),
        (259, 3, [1]),
        (262, 3, [kind]),
        (273, 4, [8]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(content)]),
        (339, 3, [form] * channels),
    ]
    if channels == 4:
        tags.insert(-1, (338, 3, [2]))
    if exif_at is not None:
        tags.append((34665, 4, [exif_at]))
    start = 8 + len(content) + len(content) % 2
    after = start + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for number, size, values in tags:
        packed = struct.pack(f"{order}{len(values)}{'H' if size == 3 else 'I'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", after + len(extra))
            extra += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", number, size, len(values)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return head + content + bytes(len(content) % 2) + directory + extra


def as_uint8(samples: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """What docs/data.md promises of samples with more than 8 bits."""
    levels = (samples.astype(np.float64) - low) * 255 / (high - low)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)
