"""Images that occur more than once in a set: equal, or nearly so, found by what they show.

    twins = find_twins(pixels, near=True)       # int64 (N,): rows of equal images have equal numbers

Equal images have equal pixels (streamed ones: equal files). Nearly equal ones, as after another compression, differ in at
most 4 bits of a difference hash of 64 bits (N. Krawetz, "Kind of like that", 2013) and show the same 16x16 greys: a
correlation of 0.99 and a mean within 8 of 255 levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pcdarts_tune.datasets.dataset import Part
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig

MOST_COMPARED, SMALLEST_COMPARED = 50_000, 16
"""In sets of more images, or of images with fewer pixels a side, only equal ones are looked for: each pair is compared, and
small images are alike without being the same."""
_BITS, _CORRELATION, _MEAN, _FLAT = 4, 0.99, 8.0, 4.0
_BLOCK = 2048


@dataclass(frozen=True)
class Twins:
    """int64 (N,), equal for images that are the same, of the training and of the test images."""

    train: Tensor
    test: Tensor | None
    near: int

    @property
    def every(self) -> Tensor:
        return self.train if self.test is None else torch.cat([self.train, self.test])


def settle_duplicates(
    train: Part, test: Part | None, data: DataConfig, *, what: str, near: bool
) -> tuple[Part, Part | None, tuple[str, ...]]:
    """Find images that occur more than once, and do with them what `data.duplicates` says.

    Args:
        what: the data set, for messages.
        near: also look for nearly equal ones, in sets that are not too large.

    Returns:
        The parts, with `twins`, and notes.

    Raises:
        UserError: there are some, and data.duplicates is refuse.
    """
    found = _find(train, test, near=near)
    if found is None:
        return train, test, ()
    labels = train.labels if test is None else torch.cat([train.labels, test.labels])
    told = _tell(found, labels)
    if told and data.duplicates == "refuse":
        hint = "remove them, or --set data.duplicates=drop, which keeps one of each, or =keep"
        raise UserError(f"{what}: {told}", hint=hint)
    train = replace(train, twins=found.train)
    test = None if test is None else replace(test, twins=found.test)
    if not told:
        return train, test, ()
    if data.duplicates == "keep":
        return train, test, (f"duplicates: {told} (data.duplicates: drop keeps one of each)",)
    kept_test = None if found.test is None else _first_of_each(found.test)
    kept = _first_of_each(found.train)
    if found.test is not None:
        kept = kept[~torch.isin(found.train[kept], found.test)]
    dropped = len(found.train) - len(kept)
    text = f"duplicates: {told}; dropped: {dropped} training images"
    if test is not None and kept_test is not None:
        text += f" and {len(test.labels) - len(kept_test)} test images"
        test = test.select(kept_test)
    return train.select(kept), test, (text,)


def _first_of_each(twins: Tensor) -> Tensor:
    """The first row of each number, ascending."""
    order = twins.argsort(stable=True)
    ordered = twins[order]
    first = torch.ones(len(twins), dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return order[first].sort().values


def _find(train: Part, test: Part | None, *, near: bool) -> Twins | None:
    parts = [train] if test is None else [train, test]
    pixels = [part.images for part in parts if isinstance(part.images, Tensor)]
    if len(pixels) == len(parts):
        keys = torch.cat([hash_pixels(images) for images in pixels])
    elif all(part.keys is not None for part in parts):
        keys = torch.cat([part.keys for part in parts if part.keys is not None])
        pixels = []
    else:
        return None
    twins, count = keys.unique(return_inverse=True)[1], 0
    if near and pixels and len(keys) <= MOST_COMPARED and min(pixels[0].shape[2:]) >= SMALLEST_COMPARED:
        twins, count = _join_near(pixels, twins)
    whole = len(train.labels)
    return Twins(twins[:whole], None if test is None else twins[whole:], count)


def _tell(found: Twins, labels: Tensor) -> str:
    """The numbers, or nothing where no image occurs twice."""
    sizes = torch.bincount(found.every)
    if not len(sizes) or int(sizes.max()) < 2:
        return ""
    several = int(sizes[sizes > 1].sum())
    text = f"{several} of {len(labels)} images occur more than once ({int((sizes > 1).sum())} different ones"
    text += f", {found.near} pairs nearly equal)" if found.near else ")"
    if found.test is not None and (both := int(torch.isin(found.test, found.train).sum())):
        text += f"; {both} test images are also training images"
    pairs = torch.stack([found.every, labels], dim=1).unique(dim=0)
    if conflicts := int((torch.bincount(pairs[:, 0]) > 1).sum()):
        text += f"; {conflicts} images have different labels in different places"
    return text


def hash_pixels(images: Tensor) -> Tensor:
    """One int64 an image of uint8 (N, C, H, W): a sum of its bytes, by eights, times drawn odd numbers, modulo 2^64."""
    flat = images.flatten(1)
    words = -(-flat.shape[1] // 8)
    factors = torch.randint(-(2**62), 2**62, (words,), generator=torch.Generator().manual_seed(0)) * 2 + 1
    keys = []
    for part in flat.split(max(1, 2**22 // words)):
        padded = F.pad(part, (0, 8 * words - part.shape[1])).contiguous()
        keys.append((padded.view(torch.int64) * factors).sum(dim=1))
    return torch.cat(keys) if keys else torch.empty(0, dtype=torch.int64)


def _join_near(pixels: list[Tensor], twins: Tensor) -> tuple[Tensor, int]:
    """The numbers with those of nearly equal images made one, and how many pairs of different images those are."""
    first = _first_of_each(twins)
    signs, greys, means = _describe(pixels, first)
    order = means.argsort()
    signs, greys, means = signs[order], greys[order], means[order]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(order), _BLOCK):
        end = min(start + _BLOCK, len(order))
        last = int(torch.searchsorted(means, means[end - 1] + _MEAN, right=True))
        # +1 and -1 for the bits: a product of 64 - 2 d where d of them differ
        alike = (signs[start:end] @ signs[start:last].T >= 64 - 2 * _BITS).triu(diagonal=1)
        rows, columns = (index + start for index in alike.nonzero(as_tuple=True))
        same = (greys[rows] * greys[columns]).sum(1) >= _CORRELATION
        same &= (means[rows] - means[columns]).abs() <= _MEAN
        pairs += zip(order[rows[same]].tolist(), order[columns[same]].tolist(), strict=True)
    number = list(range(int(twins.max()) + 1)) if len(twins) else []

    def root(at: int) -> int:
        while number[at] != at:
            number[at] = at = number[number[at]]
        return at

    for one, other in pairs:
        low, high = sorted((root(int(twins[first[one]])), root(int(twins[first[other]]))))
        number[high] = low
    joined = torch.tensor([root(at) for at in range(len(number))], dtype=torch.int64)
    return joined[twins], len(pairs)


def _describe(pixels: list[Tensor], rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of some images, those that are not of one grey: signs of the difference hash (n, 64); 16x16 greys, less their mean, of
    length 1, (n, 256); their means, 0..255 (n,)."""
    signs, greys, means = [], [], []
    count = len(pixels[0])
    for part in rows.split(_BLOCK):  # ascending: those of the training images come first
        chosen = [
            pixels[0][part[part < count]],
            *(later[part[part >= count] - count] for later in pixels[1:]),
        ]
        grey = torch.cat([images.float().mean(dim=1, keepdim=True) for images in chosen])
        small = F.adaptive_avg_pool2d(grey, (8, 9))
        signs.append((small[..., 1:] > small[..., :-1]).flatten(1).float() * 2 - 1)
        grey = F.adaptive_avg_pool2d(grey, 16).flatten(1)
        means.append(grey.mean(dim=1))
        greys.append(grey - means[-1][:, None])
    centred = torch.cat(greys)
    lengths = centred.norm(dim=1, keepdim=True)
    flat = lengths[:, 0] < _FLAT * 16  # a standard deviation of so many levels
    found = torch.cat(signs)
    # a flat image resembles every other: a row of zeros is like none
    found[flat] = 0
    return found, centred / lengths.clamp(min=1e-6), torch.cat(means)
