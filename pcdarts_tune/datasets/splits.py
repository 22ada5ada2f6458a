"""Which training images train the weights, which the alphas, and which are held out; drawn by class and by seed.

    ds.train_images[split_dataset(ds, data).weights]

Tuning: a held-out part that scores the cells, the rest halved. Published protocol: the first and the last half of
everything (PC-DARTS sec. 4.1). ImageNet: a share of each class for weights and for alphas (10 % and 2.5 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pcdarts_tune.datasets.dataset import DataSet, list_some
from pcdarts_tune.datasets.proportion import grouped_part, stratified_part
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.space import DataConfig, Space


@dataclass(frozen=True)
class Splits:
    """Rows of the training images, int64, ascending, no row twice; `rest` is all but the held-out ones, and `notes` says
    what was decided for the user."""

    weights: Tensor
    alphas: Tensor
    held_out: Tensor
    rest: Tensor
    notes: tuple[str, ...] = ()


def training_rows(space: Space, splits: Splits, stage: str) -> Tensor:
    """The rows that a training learns from: an `evaluation` from both halves, unless its `images` are all; a `retrain` from
    every row that is not held out."""
    if stage == "evaluation" and space.evaluation.images == "searched":
        return torch.cat([splits.weights, splits.alphas]).sort().values
    return splits.rest


def split_dataset(ds: DataSet, data: DataConfig) -> Splits:
    """Split the training images; the same for the same labels and `data.split_seed`. Raises UserError:
    shares that do not add up, or leave a class without images in some part."""
    labels, notes = ds.train_labels, []
    generator = torch.Generator().manual_seed(data.split_seed)
    everything = torch.arange(len(labels))
    held_out, rest = everything[:0], everything
    if data.split == "tuning":
        share = data.held_out
        if isinstance(share, int) and share > len(labels) // 3:
            notes.append(
                f"data.held_out: {share} is more than a third of the {len(labels)} training images of {ds.name}; "
                "15 % of them are held out instead (--set data.held_out=FRACTION to choose)"
            )
            share = 0.15
        held_out, rest = _part(ds, everything, share, generator, leave=2)
    if ds.groups is not None:
        weights, alphas = _halve_groups(ds, rest, data, generator)
    elif data.weights_fraction is not None or data.alphas_fraction is not None:
        weights, alphas = _by_fraction(labels, rest, data, generator)
    elif data.split == "published" and _halves_are_alike(labels):
        half = len(labels) // 2
        weights, alphas = everything[:half], everything[half:]
    else:
        if data.split == "published":
            notes.append(
                f"the images of {ds.name} come in the order of their classes: its halves are drawn by class, "
                "not the first and the last half"
            )
        first, second = stratified_part(labels[rest], len(rest) // 2, generator)
        weights, alphas = rest[first], rest[second]
    for part, rows in {"weights": weights, "alphas": alphas, "held_out": held_out}.items():
        counts = torch.bincount(labels[rows], minlength=ds.num_classes).tolist()
        lacking = [name for name, count in zip(ds.classes, counts, strict=True) if not count]
        if lacking and (len(rows) or part != "held_out" or data.split == "tuning"):
            raise UserError(
                f"{ds.name}: no image of {list_some(lacking)} is left for the part {part!r}",
                hint="add images, remove these classes, or change data.held_out"
                + (", or data.group: a class must occur in several groups" if ds.groups is not None else ""),
            )
    notes += _twin_notes(ds, weights, alphas, held_out)
    return Splits(weights, alphas, held_out, rest.sort().values, tuple(notes))


def _part(
    ds: DataSet, rows: Tensor, share: float, generator: torch.Generator, *, leave: int
) -> tuple[Tensor, Tensor]:
    """Rows of a part, by whole groups where the set has some, and the other rows."""
    labels = ds.train_labels[rows]
    if ds.groups is None:
        first, second = stratified_part(labels, share, generator, leave=leave)
    else:
        first, second = grouped_part(labels, ds.groups[rows], share, generator)
    return rows[first], rows[second]


def _halve_groups(
    ds: DataSet, rest: Tensor, data: DataConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights and alphas of whole groups, in halves or in the shares that are configured."""
    weights, alphas = data.weights_fraction, data.alphas_fraction
    if weights is None or alphas is None:
        return _part(ds, rest, len(rest) // 2, generator, leave=1)
    count = len(ds.train_labels)
    first, rest = _part(ds, rest, min(len(rest), max(1, round(weights * count))), generator, leave=1)
    return first, _part(ds, rest, min(len(rest), max(1, round(alphas * count))), generator, leave=0)[0]


def _twin_notes(ds: DataSet, weights: Tensor, alphas: Tensor, held_out: Tensor) -> list[str]:
    """How many images of one part are also in another."""
    if ds.twins is None:
        return []
    twins, notes = ds.twins, []
    trained = torch.cat([weights, alphas])
    if both := int(torch.isin(twins[held_out], twins[trained]).sum()):
        notes.append(f"duplicates: {both} of the {len(held_out)} held-out images are also trained on")
    if both := int(torch.isin(twins[alphas], twins[weights]).sum()):
        notes.append(f"duplicates: {both} of the {len(alphas)} images for the alphas also train the weights")
    return notes


def _by_fraction(
    labels: Tensor, rest: Tensor, data: DataConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A share of each class of all training images for weights and for alphas, from the rows that are not held out."""
    fractions = (data.weights_fraction, data.alphas_fraction)
    if fractions[0] is None or fractions[1] is None:
        raise UserError(
            "data.weights_fraction and data.alphas_fraction go together: set both or neither",
            hint="--set data.weights_fraction=0.1 --set data.alphas_fraction=0.025, as for ImageNet",
        )
    weights, alphas = [], []
    for label, count in enumerate(torch.bincount(labels).tolist()):
        rows = rest[labels[rest] == label]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        first, second = (max(1, round(fraction * count)) for fraction in fractions if fraction is not None)
        if first + second > len(rows):
            raise UserError(
                f"data.weights_fraction {fractions[0]} and data.alphas_fraction {fractions[1]} need {first + second} "
                f"images of class {label}, and {len(rows)} are not held out",
                hint="lower the fractions or data.held_out",
            )
        weights.append(rows[:first])
        alphas.append(rows[first : first + second])
    return torch.cat(weights).sort().values, torch.cat(alphas).sort().values


def _halves_are_alike(labels: Tensor) -> bool:
    """Whether each class has at least a quarter of its images in either half: not so where they are sorted by class."""
    counts = torch.bincount(labels)
    first = torch.bincount(labels[: len(labels) // 2], minlength=len(counts))
    return bool(((4 * first >= counts) & (4 * (counts - first) >= counts)).all())
