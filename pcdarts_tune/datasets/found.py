"""What the readers of files hand to `pack`: images still encoded, and their labels."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from torch import Tensor

from pcdarts_tune.core.images.stream import ImageSource

TRAIN = frozenset({"train", "training"})
TEST = frozenset({"test", "testing"})
VALIDATION = frozenset({"val", "valid", "validation"})


@dataclass(frozen=True)
class Encoded:
    """One split.

    Attributes:
        source: the encoded images.
        labels: int64 (N,).
        stamp: (name, bytes, modification time in ns) of each file; what a cached copy is valid for.
    """

    source: ImageSource
    labels: Tensor
    stamp: tuple[tuple[str, int, int], ...]

    def names_digest(self) -> str:
        """Of the files' names and sizes: it stands for their content where that is too much to read."""
        return hashlib.sha256(json.dumps([entry[:2] for entry in self.stamp]).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """A whole set; `test` is None where it brings none."""

    name: str
    classes: tuple[str, ...]
    train: Encoded
    test: Encoded | None
    source: str
    notes: tuple[str, ...] = ()


def role_of(name: str) -> str | None:
    """`train`, `test` or `validation` where a word of a file's or folder's name says so."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    for role, spellings in (("train", TRAIN), ("test", TEST), ("validation", VALIDATION)):
        if words & spellings:
            return role
    return None
