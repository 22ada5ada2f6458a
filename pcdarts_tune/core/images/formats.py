"""Which formats of image files are read, and how each of them begins.

>>> format_of(b"\\x89PNG\\r\\n\\x1a\\n")
'PNG'
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache
from importlib.util import find_spec

from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
"""What Pillow calls the formats that are read; AVIF and JPEG 2000 where Pillow has them, HEIF with pillow-heif."""
ADVICE = {
    "AVIF": "a newer Pillow reads them",
    "JPEG2000": "a Pillow built with OpenJPEG reads them",
    "HEIF": "pip install pillow-heif",
}
"""What to install for formats that not every installation can read."""

_BEGINNINGS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
}


@cache
def readable_formats() -> tuple[str, ...]:
    """Those of FORMATS that this installation can read."""
    if find_spec("pillow_heif") is not None:
        with suppress(ImportError):  # built for another machine: as if it were not there
            importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def format_of(head: bytes) -> str | None:
    """The one of FORMATS, read here or not, as which a file begins that begins with these (64) bytes."""
    if head[:2] == b"BM":  # and a size of the header that follows
        return "BMP" if int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124) else None
    if head[4:8] == b"ftyp":
        if head[8:11] == b"avi":
            return "AVIF"
        return "HEIF" if head[8:11] in (b"hei", b"hev", b"mif", b"msf") else None
    if head[:1] == b"P" and head[2:3].isspace():
        return "PPM" if head[1:2] in b"123456fF" else None
    if head[:4] == b"RIFF":
        return "WEBP" if head[8:12] == b"WEBP" else None
    return next((kind for kind, starts in _BEGINNINGS.items() if head.startswith(starts)), None)


def tell_unidentified(head: bytes) -> str:
    """Why Pillow finds no image in a file that begins so."""
    kind = format_of(head)
    if kind is None:
        return f"not an image in one of {', '.join(readable_formats())}"
    if kind not in readable_formats():
        return f"a {kind} image, which this installation does not read: {ADVICE[kind]}"
    return f"begins as {kind}, but is damaged, or of a kind that is not read; save it with 8 bits a sample"
