"""Images that belong together, as those of one patient or one scene: a group is never split between parts of a set.

found = add_groups(find_folder(root), r"(patient\\d+)_")
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pcdarts_tune.datasets.encoded import EncodedSet
from pcdarts_tune.errors import UserError


def add_groups(found: EncodedSet, pattern: str | None) -> EncodedSet:
    """The set with the group of each image, from `data.group`: the column was read with the labels, a pattern is searched in
    the names. Raises UserError: images without a name, or whose name the pattern does not fit."""
    splits = [split for split in (found.train, found.test) if split is not None]
    if pattern is None or all(split.groups is not None for split in splits):
        return found
    numbers: dict[str, int] = {}
    grouped = []
    for split in splits:
        named = split.names or tuple(split.source.name(row) for row in range(len(split.source)))
        values = _search(pattern, named, found.source)
        ids = [numbers.setdefault(value, len(numbers)) for value in values]
        grouped.append(replace(split, groups=torch.tensor(ids, dtype=torch.int64)))
    return replace(found, train=grouped[0], test=grouped[1] if len(grouped) > 1 else None)


def _search(pattern: str, names: Sequence[str], source: str) -> list[str]:
    if pattern.isidentifier():
        raise UserError(
            f"data.group: {source} has no column {pattern!r}",
            hint=r"for files, a regular expression with one group: --set 'data.group=(patient\d+)_'",
        )
    compiled = re.compile(pattern)
    found = [compiled.search(name) for name in names]
    if missing := [
        name for name, match in zip(names, found, strict=True) if match is None or match[1] is None
    ]:
        raise UserError(
            f"data.group: {pattern!r} fits {len(names) - len(missing)} of {len(names)} names in {source}, and not "
            f"{', '.join(missing[:3])}",
            hint="the pattern is searched in paths such as train/CLASS/FILE, and its one group names what stays together",
        )
    return [match[1] for match in found if match is not None]


def group_notes(train: Tensor, test: Tensor | None) -> list[str]:
    """How many groups there are, and whether the set's own test split shares some with its training images."""
    count = len(train.unique())
    notes = [f"data.group: {len(train)} training images in {count} groups, none of which is split"]
    if test is not None and (shared := int(torch.isin(train.unique(), test.unique()).sum())):
        notes.append(
            f"data.group: {shared} groups are in the training and in the test images that the set brings"
        )
    return notes
