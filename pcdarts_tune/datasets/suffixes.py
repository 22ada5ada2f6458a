"""Which files are images: by their suffix where it is known, else by how they begin; and what is left out, in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import cache

from pcdarts_tune.core.images.decode import readable_formats

_SUFFIXES = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo",
    "PNG": ".png .apng",
    "BMP": ".bmp .dib",
    "GIF": ".gif",
    "WEBP": ".webp",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm .pfm",
    "AVIF": ".avif .avifs",
    "JPEG2000": ".jp2 .j2k .jpx .jpf",
    "HEIF": ".heic .heif .hif",
}
_ADVICE = {
    "AVIF": "a newer Pillow reads them",
    "JPEG2000": "a Pillow built with OpenJPEG reads them",
    "HEIF": "pip install pillow-heif",
}
_IMAGES_UNREAD = (
    ".svg .psd .xcf .ai .eps .pdf .ico .tga .exr .hdr .dds .dcm .nii .npy .npz .mat .h5 .hdf5 .pt .pkl .tfrecord .lmdb .fits "
    ".cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .pef .raw .jxl .mp4 .avi .mov .mkv .webm .zip .tar .gz .7z .rar"
)
_UNREAD = frozenset(_IMAGES_UNREAD.split())
"""Images and arrays that are not read. Camera files begin like TIFF and hold a small preview."""
_WRITTEN = ".txt .csv .tsv .json .jsonl .xml .md .html .htm .yaml .yml .toml .ini .cfg .log .py .ipynb .sh .rst .parquet"
_TEXTS = frozenset(_WRITTEN.split())
_NO_NAMES = {"thumbs.db", "desktop.ini", "pcdarts-home", "mlruns"}
"""What systems, and commands that were run inside the data, leave behind; a home holds pictures of cells."""


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of files that are read."""
    readable = readable_formats()
    return frozenset(
        suffix for kind, listed in _SUFFIXES.items() if kind in readable for suffix in listed.split()
    )


@cache
def _unreadable_suffixes() -> dict[str, str]:
    readable = readable_formats()
    return {
        each: _ADVICE[kind]
        for kind, text in _SUFFIXES.items()
        if kind not in readable
        for each in text.split()
    }


def suffix_of(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def is_left_behind(name: str) -> bool:
    """Whether a file is hidden, or one that a system or an archiver leaves behind."""
    return name.startswith((".", "__MACOSX")) or name.lower() in _NO_NAMES


def is_image(path: str) -> bool:
    """Whether the file is read as an image; one that cannot be looked into counts by its suffix alone."""
    suffix = suffix_of(path)
    if suffix in image_suffixes():
        return True
    if suffix in _UNREAD or suffix in _TEXTS or suffix in _unreadable_suffixes():
        return False
    try:
        # a pipe would be waited for
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return _begins_as_image(file.read(64))
    except OSError:
        return False


def could_be_image(path: str) -> bool:
    """Whether the file is an image, read or not."""
    suffix = suffix_of(path)
    return suffix in _UNREAD or suffix in _unreadable_suffixes() or is_image(path)


def _begins_as_image(head: bytes) -> bool:
    if head[:2] == b"BM":  # and a size of the header that follows
        return int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)
    if head[4:8] == b"ftyp":
        kind = "AVIF" if head[8:12] in (b"avif", b"avis") else "HEIF"
        return kind in readable_formats() and head[8:11] in (b"avi", b"hei", b"hev", b"mif", b"msf")
    if head[:1] == b"P" and head[2:3].isspace():
        return head[1:2] in b"123456fF"
    starts = (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF87a",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"MM\0+",
    )
    more = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
    return head.startswith((*starts, *more)) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def tell_left_out(found: Mapping[str, int]) -> str:
    """Numbers of files by suffix, with what reads them: `3 .heic (pip install pillow-heif), 2 without a suffix`."""
    advice = _unreadable_suffixes()
    parts = []
    for suffix, count in Counter(found).most_common(8):
        what = suffix or "without a suffix"
        help_text = advice.get(suffix) or ("save them as PNG or JPEG" if suffix in _UNREAD else "")
        parts.append(f"{count} {what}" + (f" ({help_text})" if help_text else ""))
    rest = len(found) - len(parts)
    return ", ".join(parts) + (f" and {rest} other suffixes" if rest > 0 else "")
