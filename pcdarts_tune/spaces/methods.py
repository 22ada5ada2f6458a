"""How a genotype is found, by name (`search.method`), and what a space knows of each method; training/methods.py builds them.

>>> METHODS["random"].searches, METHODS["random"].uses("search.learning_rate")
(False, False)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """A way to a genotype.

    Attributes:
        what: one trial of it, in words.
        searches: whether it trains a supernet for `search.epochs` epochs.
        keys: of `supernet` and `search`, those that its genotype depends on; None for all.
    """

    what: str
    searches: bool = True
    keys: tuple[str, ...] | None = None

    def uses(self, key: str) -> bool:
        """Whether the genotype depends on a dotted key of `supernet` or `search`."""
        return self.keys is None or key in self.keys


METHODS: dict[str, Method] = {
    "pc-darts": Method("a PC-DARTS search"),
    "gdas": Method("a GDAS search"),
    "random": Method(
        "a genotype drawn at random", searches=False, keys=("supernet.family", "supernet.nodes")
    ),
}
"""The methods there are; DARTS is `pc-darts` with K = 1 and without edge normalisation."""
