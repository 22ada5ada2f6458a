"""Learning rates by epoch, in closed form (tests/reference/schedules.json).

Closed forms, because the published order of scheduler calls gives other numbers on today's PyTorch (spec section 8,
trap 1): here epoch 0 gets the full rate and a warm-up does not bend the cosine.

    >>> [learning_rate("cosine", e, 50, 0.1) for e in range(3)]     # 0.1, 0.0999..., 0.0996...
"""

from __future__ import annotations

import math

SCHEDULES = ("cosine", "linear", "step")


def learning_rate(
    schedule: str,
    epoch: int,
    epochs: int,
    base: float,
    *,
    minimum: float = 0.0,
    warmup: int = 0,
    gamma: float = 0.97,
) -> float:
    """The rate that epoch `epoch` (from 0) of `epochs` trains with.

    Args:
        schedule: "cosine" from base to minimum; "linear" as published for ImageNet, flatter over the last 5 epochs;
            "step", gamma ** epoch.
        base, minimum: rates; `minimum` is the cosine's.
        warmup: epochs of base * (epoch + 1) / warmup that replace the schedule's first ones.

    Raises:
        ValueError: for an unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}; got {schedule!r}")
    if epoch < warmup:
        return base * (epoch + 1) / warmup
    if schedule == "cosine":
        return minimum + (base - minimum) * (1 + math.cos(math.pi * epoch / epochs)) / 2
    if schedule == "step":
        return base * gamma**epoch
    tail = min(5, epochs - 1)
    if epochs - epoch > tail:
        return base * (epochs - tail - epoch) / (epochs - tail)
    return base * (epochs - epoch) / ((epochs - tail) * 5)


def drop_path_probability(epoch: int, epochs: int, final: float) -> float:
    """Drop path grows linearly: final * epoch / epochs."""
    return final * epoch / epochs
