"""Which files are images: by their suffix where it is known, else by how they begin; and what is left out, in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import cache

from pcdarts_tune.core.images.formats import ADVICE, format_of, readable_formats

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
_IMAGES_UNREAD = (
    ".svg .psd .xcf .ai .eps .pdf .ico .tga .exr .hdr .dds .dcm .nii .npy .npz .mat .h5 .hdf5 .pt .pkl .tfrecord .lmdb .fits "
    ".cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .pef .raw .jxl .mp4 .avi .mov .mkv .webm .zip .tar .gz .7z .rar"
)
_UNREAD = frozenset(_IMAGES_UNREAD.split())
"""Images and arrays that are not read. Camera files begin like TIFF and hold a small preview."""
_WRITTEN = ".txt .csv .tsv .json .jsonl .xml .md .html .htm .yaml .yml .toml .ini .cfg .log .py .ipynb .sh .rst .parquet"
_TEXTS = frozenset(_WRITTEN.split())
_NO_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "lost+found", "__pycache__", "pcdarts-home", "mlruns"),
}
"""What systems, and commands that were run inside the data, leave behind: previews, and pictures of cells in a home."""


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
        each: ADVICE[kind]
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
    if suffix in _UNREAD or suffix in _TEXTS:
        return False
    kind = format_of(_head(path))
    return kind is not None and kind in readable_formats()


def _head(path: str) -> bytes:
    """What a file begins with; nothing where it cannot be looked into."""
    try:
        # a pipe would be waited for
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(64)
    except OSError:
        return b""


def kind_left_out(path: str) -> str:
    """The suffix under which a file that is not read is counted: that of its content, where it has none of its own and holds
    an image of a format that this installation lacks."""
    suffix = suffix_of(path)
    if suffix in _UNREAD or suffix in _TEXTS or suffix in _unreadable_suffixes():
        return suffix
    kind = format_of(_head(path))
    return suffix if kind is None else _SUFFIXES[kind].split()[0]


def could_be_image(path: str) -> bool:
    """Whether the file is an image, read or not."""
    suffix = suffix_of(path)
    return suffix in _UNREAD or is_image(path) or kind_left_out(path) in _unreadable_suffixes()


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
