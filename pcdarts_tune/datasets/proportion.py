"""Parts of labelled images that hold the classes in proportion, image by image or by whole groups.

part, rest = stratified_part(labels, 0.2, torch.Generator().manual_seed(0))
"""

from __future__ import annotations

import torch
from torch import Tensor


def stratified_part(
    labels: Tensor, share: float, generator: torch.Generator, *, leave: int = 1
) -> tuple[Tensor, Tensor]:
    """Rows of a part with the classes in proportion, and all other rows; both ascending.

    Args:
        labels: int64 (N,).
        share: a fraction in (0, 1) or a number of rows.
        leave: rows of each class that are left where it has more. At least one is taken; within these bounds the part
            has exactly as many rows as asked for.
    """
    total = share if isinstance(share, int) else round(share * len(labels))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(_allocate(torch.bincount(labels).tolist(), total, leave)):
        rows = torch.nonzero(labels == label).flatten()
        chosen[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return torch.nonzero(chosen).flatten(), torch.nonzero(~chosen).flatten()


def _allocate(counts: list[int], total: int, leave: int) -> list[int]:
    """Divide `total` over classes in proportion to their counts, largest remainders first, each in 1..count-leave."""
    size = max(1, sum(counts))
    least = [min(1, count) for count in counts]
    most = [max(low, count - leave) for low, count in zip(least, counts, strict=True)]
    exact = [total * count / size for count in counts]
    take = [min(max(int(share), low), high) for share, low, high in zip(exact, least, most, strict=True)]
    while (missing := total - sum(take)) != 0:
        step = 1 if missing > 0 else -1
        room = [i for i in range(len(counts)) if (take[i] < most[i] if step > 0 else take[i] > least[i])]
        if not room:
            break
        for i in sorted(room, key=lambda i: (step * (take[i] - exact[i]), i))[: abs(missing)]:
            take[i] += step
    return take


def grouped_part(
    labels: Tensor, groups: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Rows of a part of whole groups, with the classes nearly in proportion, and all other rows; both ascending.

    Groups are gone through in a drawn order, large ones first, and one is taken where it brings the part's classes nearer
    to their share.

    Args:
        labels, groups: int64 (N,).
        share: a fraction in (0, 1) or a number of rows.
    """
    total = share if isinstance(share, int) else round(share * len(labels))
    counts = _table(labels, groups)
    wanted = counts.sum(0) * (total / max(1, len(labels)))
    order = torch.randperm(len(counts), generator=generator)
    order = order[counts[order].sum(1).argsort(descending=True, stable=True)]
    have, taken = torch.zeros_like(wanted), torch.zeros(len(counts), dtype=torch.bool)
    for group in order.tolist():
        more = have + counts[group]
        if (more - wanted).abs().sum() < (have - wanted).abs().sum():
            have, taken[group] = more, True
    chosen = taken[groups.unique(return_inverse=True)[1]]
    return chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]


def _table(labels: Tensor, groups: Tensor) -> Tensor:
    """float64 (groups, classes): how many images of each class each group holds."""
    _, places = groups.unique(return_inverse=True)
    classes = int(labels.max()) + 1 if len(labels) else 0
    flat = torch.bincount(places * classes + labels, minlength=(int(places.max()) + 1) * classes)
    return flat.view(-1, classes).double()
