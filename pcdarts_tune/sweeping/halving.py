"""Successive halving of evaluations, asynchronous (ASHA, Li et al., arXiv 1810.05934): who goes on at a rung.

A trial that reaches a rung is compared with all that were there before it, and goes on when it is among the best
share of them. For several objectives trials are sorted by Pareto front first (as MO-ASHA, arXiv 2106.12639), then by
accuracy. Nothing is undone: what a trial was told stays true when better ones come later.

    stop = reason_to_stop(("accuracy",), {"accuracy": 0.6}, others, Rung(epochs=4, of=25, keep=0.34, min_trials=3))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.sweeping.objectives import fronts, minimised

if TYPE_CHECKING:
    from pcdarts_tune.config import Space


@dataclass(frozen=True)
class Rung:
    """Where trials are compared: after `epochs` of `of` epochs of their evaluation, the best `keep` (a share) go on; nobody
    ends there before `min_trials` have reached it."""

    epochs: int
    of: int
    keep: float
    min_trials: int


def rung_after(space: Space) -> Callable[[int], Rung]:
    """The rung after so many epochs of a trial's evaluation, as the space has it."""
    halving, of = space.stopping.halving, space.evaluation.epochs
    return lambda epochs: Rung(epochs, of, halving.keep, halving.min_trials)


def reason_to_stop(
    objectives: Sequence[str], values: dict[str, float], others: Sequence[dict[str, float]], rung: Rung
) -> str | None:
    """Why a trial with these values ends at the rung; None when it goes on.

    Args:
        others: values of the trials that were there before it.
    """
    there = [*others, values]
    if len(there) < rung.min_trials:
        return None
    points = [minimised(objectives, each) for each in there]
    front = fronts(points) if len(objectives) > 1 else [0] * len(points)
    places = [(number, -each["accuracy"]) for number, each in zip(front, there, strict=True)]
    better = sum(place < places[-1] for place in places)
    # the best one always goes on, and so does who is no worse than one that does
    if better < max(1, int(rung.keep * len(there))):
        return None
    return (
        f"accuracy {values['accuracy']:.4f} after {rung.epochs} of {rung.of} epochs of the evaluation: "
        f"place {better + 1} of {len(there)}{' by Pareto front' if len(objectives) > 1 else ''}, "
        f"the best {rung.keep:.0%} go on"
    )


def rungs_in(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rungs that a trial's record says it has reached, oldest first: `{"epochs", "values"}` each."""
    entries = record["records"] if record["kind"] == "history" else [record]
    return [entry["rung"] for entry in entries if "rung" in entry]
