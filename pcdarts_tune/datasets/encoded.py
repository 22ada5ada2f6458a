"""Images on disk, still encoded, and their labels, as the readers of folders and parquet files find them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pcdarts_tune.core.images.stream import ImageSource

ROLES = {
    "train": {"train", "training", "trainset", "traindata", "trainval"},
    "test": {"test", "testing", "testset", "testdata"},
    "validation": {"val", "valid", "validation", "valset", "dev", "eval", "evaluation", "holdout"},
}
"""How the parts of a set are called in names of files and folders."""

LAYOUT = "DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg (or val/), or DIR/CLASS/*.jpg, or parquet files with images and labels"
"""How images may lie on disk, for messages."""

FORMAT = 2
"""Counts up when decoding or the layout of the file changes."""

Stamp = tuple[str, int, int, int]
"""Name, bytes, and times of modification and of the last change of any kind, in ns, of a file; a cached copy holds while
they are the same."""
_SAMPLED, _BYTES = 32, 2**16


def stamp_of(name: str, status: os.stat_result | None) -> Stamp:
    """The stamp of a file; zeros for one that is not there."""
    return (
        (name, 0, 0, 0) if status is None else (name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    )


def digest_of(value: Any) -> str:
    """24 hex digits for a value that JSON can hold."""
    return hashlib.sha256(json.dumps([FORMAT, value], sort_keys=True).encode()).hexdigest()[:24]


def fingerprint(root: Path, stamps: Iterable[Stamp], files: list[str]) -> str:
    """24 hex digits that change with the files: where they lie, their stamps, and what begins and ends 32 of them. Archives
    with fixed dates give different sets the same names, sizes and dates."""
    step = max(1, len(files) // _SAMPLED)
    content = hashlib.sha256()
    for path in files[::step]:
        try:
            with open(path, "rb") as file:
                content.update(file.read(_BYTES))
                file.seek(-min(_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
                content.update(file.read(_BYTES))
        except OSError:  # named as unreadable when it is decoded
            content.update(b"unreadable")
    return digest_of([str(root.resolve()), list(stamps), content.hexdigest()])


@dataclass(frozen=True)
class EncodedSplit:
    """One split.

    Attributes:
        labels: int64 (N,).
        stamps: of each file.
        key: see `fingerprint`.
        names: of each image, for `data.group`; None where it has none.
        groups: int64 (N,), equal for images that must not be split; see `groups.add_groups`.
    """

    source: ImageSource
    labels: Tensor
    stamps: tuple[Stamp, ...]
    key: str = ""
    names: tuple[str, ...] | None = None
    groups: Tensor | None = None

    def names_digest(self) -> str:
        """Of the files' names and sizes: it stands for their content where that is too much to read."""
        return hashlib.sha256(json.dumps([stamp[:2] for stamp in self.stamps]).encode()).hexdigest()


@dataclass(frozen=True)
class EncodedSet:
    """A whole set; `test` is None where it brings none."""

    name: str
    classes: tuple[str, ...]
    train: EncodedSplit
    test: EncodedSplit | None
    source: str
    notes: tuple[str, ...] = ()


def words_of(name: str) -> list[str]:
    """The words of a file's or folder's name, in small letters: `trainingSet_01` is training and set."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+", re.sub(r"hold[^A-Za-z0-9]?out", "holdout", parted.lower()))


def role_of(name: str) -> str | None:
    """`train`, `test` or `validation` where a word of a file's or folder's name says so."""
    words = set(words_of(name))
    return next((role for role, spellings in ROLES.items() if words & spellings), None)
