"""How a genotype is found: what `search.method` names, built from a space and a data set.

    search = build_method(space, images, device=default_device(), seed=0)
    for epoch in search: ...        # no epoch where nothing is searched
    search.genotype()

Another method (DrNAS) is a function that gives a `GenotypeSearch`, added by `register_method`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.core.genotype import AnyGenotype
from pcdarts_tune.spaces.methods import METHODS, Method
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.training.build import build_search

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.epochs import SearchEpoch
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space


class GenotypeSearch(Protocol):
    """A generator of epochs whose whole state can be taken and put back, and that has a genotype at its end."""

    def __iter__(self) -> Iterator[SearchEpoch]: ...
    def execution(self) -> dict[str, str]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...
    def genotype(self) -> AnyGenotype: ...


class Builder(Protocol):
    """Builds a method's search."""

    def __call__(
        self, space: Space, images: DataSet, /, *, device: torch.device, seed: int, execution: Execution
    ) -> GenotypeSearch: ...


@dataclass(frozen=True)
class Drawn:
    """A genotype that nothing is trained for: a search without epochs."""

    drawn: AnyGenotype

    def __iter__(self) -> Iterator[SearchEpoch]:
        return iter(())

    def execution(self) -> dict[str, str]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: there is no state."""

    def genotype(self) -> AnyGenotype:
        return self.drawn


def draw_genotype(
    space: Space, images: DataSet, /, *, device: torch.device, seed: int, execution: Execution
) -> Drawn:
    """Random search (Li & Talwalkar 2019, arXiv 1902.07638): `random_genotype` with the seed of the search."""
    return Drawn(space.supernet.draw_genotype(seed))


BUILDERS: dict[str, Builder] = {"pc-darts": build_search, "gdas": build_search, "random": draw_genotype}
"""The builder of each of `spaces.methods.METHODS`."""


def register_method(name: str, method: Method, builder: Builder) -> None:
    """Add a method to those that `search.method` can name in this process.

    Raises:
        ValueError: when the name is taken.
    """
    if name in METHODS:
        raise ValueError(f"the method {name!r} is registered already; choose another name")
    METHODS[name], BUILDERS[name] = method, builder


def build_method(
    space: Space, images: DataSet, *, device: torch.device, seed: int, execution: Execution = DEFAULTS
) -> GenotypeSearch:
    """The search of the space's method; equal seeds find equal genotypes."""
    return BUILDERS[space.search.method](space, images, device=device, seed=seed, execution=execution)
