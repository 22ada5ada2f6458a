"""When a search has collapsed: skip connections take over the normal cell, late in the search, and stay.

The rule looks at the genotypes derived after each epoch, as DARTS+ (arXiv 1909.06035) does; it fires when enough of them in
a row have too many skip connections in the normal cell.

    >>> collapse([g.skip_connections for g in genotypes], skip_connections=6, first=25, epochs=3)      # None, or an epoch
"""

from __future__ import annotations

from collections.abc import Sequence


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
