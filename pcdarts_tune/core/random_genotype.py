"""Genotypes drawn at random: the baseline that a search has to beat.

The draw is the one of random-search baselines in DARTS's space (Li & Talwalkar 2019, arXiv 1902.07638): for each node
two different predecessors, each pair as likely as any other, and on each of the two edges one operation, each as
likely as any other. `none` is left out, because a derived cell never has it.

>>> random_genotype(seed=0).canonical_hash()
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, Edge, Genotype


def random_genotype(seed: int, *, nodes: int = 4, primitives: Sequence[str] = DARTS_PRIMITIVES) -> Genotype:
    """Draw both cells uniformly; the same seed gives the same genotype on every machine.

    Args:
        nodes: intermediate nodes of a cell; all of them make up its output.
        primitives: the operations to draw from.

    Raises:
        ValueError: when there is no operation but `none`.
    """
    operations = [name for name in primitives if name != "none"]
    if not operations:
        raise ValueError("a genotype needs at least one operation other than 'none'")
    generator = random.Random(seed)

    def cell() -> tuple[Edge, ...]:
        edges: list[Edge] = []
        for node in range(nodes):
            predecessors = sorted(generator.sample(range(node + 2), 2))
            edges += [(generator.choice(operations), predecessor) for predecessor in predecessors]
        return tuple(edges)

    concat = tuple(range(2, nodes + 2))
    return Genotype(cell(), concat, cell(), concat)
