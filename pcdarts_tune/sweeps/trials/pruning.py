"""When a search has collapsed: skip connections take over the normal cell, late in the search, and stay.

The rule looks at the genotypes derived after each epoch, as DARTS+ (arXiv 1909.06035) does; it fires when enough of them in
a row have too many skip connections in the normal cell.

    >>> collapse([g.skip_connections for g in genotypes], skip_connections=6, first=25, epochs=3)      # None, or an epoch

Why a trial ends before its time, apart from rungs (halving.py): a search that collapsed, a genotype that is too large.

collapse_reason(space, log.history)       # None, or words for the leaderboard
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.spaces.goals import rung_epochs
from pcdarts_tune.sweeps.study.objectives import excess, excess_reason

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space


def collapse(skips: Sequence[int], *, skip_connections: int, first: int, epochs: int) -> int | None:
    """The epoch, from 0, after which the search counts as collapsed; None where it does not.

    Args:
        skips: skip connections in the normal cell after each epoch.
        skip_connections: so many, or more, are too many.
        first: the first epoch that is looked at.
        epochs: in so many epochs in a row.
    """
    row = 0
    for epoch, count in enumerate(skips):
        row = row + 1 if epoch >= first and count >= skip_connections else 0
        if row >= epochs:
            return epoch
    return None


def collapse_reason(space: Space, history: Sequence[dict[str, Any]]) -> str | None:
    """Why the search whose records these are has collapsed, by the space's rule; epochs in which the architecture was frozen
    do not count."""
    rule, search = space.stopping.collapse, space.search
    if rule.skip_connections is None:
        return None
    skips = [
        int(record["metrics"]["arch/skip_connections"])
        for record in history
        if record.get("stage") == "search" and "arch/skip_connections" in record["metrics"]
    ]
    first = max(search.arch_warmup_epochs, math.ceil(rule.after * search.epochs))
    at = collapse(skips, skip_connections=rule.skip_connections, first=first, epochs=rule.epochs)
    if at is None:
        return None
    row = f" for {rule.epochs} epochs in a row" if rule.epochs > 1 else ""
    return (
        f"the search collapsed: {skips[at]} of the normal cell's {2 * space.supernet.nodes} edges are skip connections "
        f"after epoch {at + 1} of {search.epochs}, {rule.skip_connections} or more{row}"
    )


def judge_derived(space: Space, found: dict[str, Any], collapsed: str | None) -> dict[str, Any]:
    """What the record of a derived genotype says besides: why the trial ends there, and how its size compares with the
    space's limits."""
    sizes = {"params": found["params"], "macs": found["macs"]}
    judgement: dict[str, Any] = {}
    if over := excess(space, **sizes):
        judgement["constraints"] = over
    if reason := collapsed or excess_reason(space, **sizes):
        judgement["pruned"] = reason
    return judgement


def reached_rung(space: Space, found: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """`{"rung": …}` for the record of an evaluation's epoch that ends at a rung, else nothing."""
    epochs = record["epoch"] + 1
    if epochs not in rung_epochs(space.stopping.halving.rungs, space.evaluation.epochs):
        return {}
    known = {
        "accuracy": record["accuracy"],
        **{name: found.get(name) for name in ("params", "macs", "latency")},
    }
    return {"rung": {"epochs": epochs, "values": {name: known[name] for name in space.objectives}}}
