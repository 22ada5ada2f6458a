"""Parts of a data set that hold its classes in proportion.

part, rest = stratified_part(labels, 0.2, torch.Generator().manual_seed(0))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import DataConfig


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


def check_counts(
    classes: tuple[str, ...], labels: Tensor, data: DataConfig, *, what: str, has_test: bool
) -> None:
    """Refuse a set with fewer than two classes, or with a class too small to be in every part.

    Raises:
        UserError: naming the classes.
    """
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no classes"
        raise UserError(
            f"{what} has {found}: there is nothing to tell apart",
            hint="a data set needs images of two classes or more",
        )
    parts = ["weights", "alphas"] + ["held out"] * (data.split == "tuning") + ["test"] * (not has_test)
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    small = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < len(parts)]
    if small:
        raise UserError(
            f"{what} is too small: each class needs at least {len(parts)} training images, one for each part "
            f"({', '.join(parts)}); too few have {list_some(small)}",
            hint="add images or remove these classes",
        )


def list_some(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
