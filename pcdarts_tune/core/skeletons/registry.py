"""The skeletons by the names of their families."""

from __future__ import annotations

from pcdarts_tune.core.genotype import family_named
from pcdarts_tune.core.skeletons.darts import DartsSkeleton
from pcdarts_tune.core.skeletons.nasbench201 import NasBench201Skeleton
from pcdarts_tune.core.skeletons.plan import Skeleton

SKELETONS: dict[str, Skeleton] = {"darts": DartsSkeleton(), "nasbench201": NasBench201Skeleton()}


def register_skeleton(family: str, skeleton: Skeleton) -> None:
    """Add the networks of a registered family.

    Raises:
        ValueError: when there is no such family, or it has a skeleton already.
    """
    family_named(family)
    if family in SKELETONS:
        raise ValueError(f"the family {family!r} has a skeleton already")
    SKELETONS[family] = skeleton


def skeleton_of(family: str) -> Skeleton:
    """Raises ValueError: listing the legal names."""
    family_named(family)
    if family not in SKELETONS:
        raise ValueError(f"no networks of the family {family!r} are registered")
    return SKELETONS[family]
