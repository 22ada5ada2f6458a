"""What tests look at in drawings: the parts and the size of a PNG."""

from __future__ import annotations

import struct


def png_chunks(data: bytes) -> set[bytes]:
    """The kinds of a PNG's chunks."""
    kinds, at = set(), 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.add(data[at + 4 : at + 8])
        at += 12 + length
    return kinds


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    return struct.unpack(">II", data[16:24])
