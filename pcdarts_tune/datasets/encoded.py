"""Images on disk, still encoded, and their labels, as the readers of folders and parquet files find them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pcdarts_tune.core.images.stream import ImageSource

ROLES = {
    "train": {"train", "training"},
    "test": {"test", "testing"},
    "validation": {"val", "valid", "validation"},
}
"""How the parts of a set are called in names of files and folders."""

LAYOUT = "DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg, or DIR/CLASS/*.jpg, or parquet files with images and labels"
"""How images may lie on disk, for messages."""

FORMAT = 1
"""Counts up when decoding or the layout of the file changes."""

Stamp = tuple[str, int, int]
"""Name, bytes and modification time in ns of a file; a cached copy holds while they are the same."""


def stamp_of(name: str, status: os.stat_result | None) -> Stamp:
    """The stamp of a file; zeros for one that is not there."""
    return (name, 0, 0) if status is None else (name, status.st_size, status.st_mtime_ns)


def digest_of(value: Any) -> str:
    """24 hex digits for a value that JSON can hold."""
    return hashlib.sha256(json.dumps([FORMAT, value], sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class EncodedSplit:
    """One split; labels are int64 (N,), with the stamp of each file."""

    source: ImageSource
    labels: Tensor
    stamps: tuple[Stamp, ...]

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


def role_of(name: str) -> str | None:
    """`train`, `test` or `validation` where a word of a file's or folder's name says so."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    return next((role for role, spellings in ROLES.items() if words & spellings), None)
