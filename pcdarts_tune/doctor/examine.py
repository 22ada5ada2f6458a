"""Look before work begins: versions, machine, stores, Ray, data; what is wrong, and what to do about it.

for check in examine(Scope(Where(home))):
    print(check.status, check.name, check.said)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pcdarts_tune.doctor.check import Check
from pcdarts_tune.home import Where


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Attributes:
        where: the home and the stores.
        space, data: images to look at; neither: none.
        address: of a Ray cluster. `ray`: start (or join) Ray and run a task.
    """

    where: Where
    space: str | None = None
    data: Path | None = None
    address: str | None = None
    ray: bool = False


def examine(scope: Scope) -> Iterator[Check]:
    """One check after the other; what is broken ends none of the others."""
    from pcdarts_tune.doctor.check import fail

    broken = False
    try:
        from pcdarts_tune.doctor.versions import check_versions

        for check in check_versions():
            broken = broken or check.status == "fail"
            yield check

        from pcdarts_tune.doctor.cluster import check_ray
        from pcdarts_tune.doctor.images import check_images
        from pcdarts_tune.doctor.machine import check_machine
        from pcdarts_tune.doctor.stores import check_stores

        yield from check_machine(scope.where.home)
        yield from check_stores(scope.where)
        yield from check_ray(address=scope.address, start=scope.ray)
        if scope.space is not None or scope.data is not None:
            yield from check_images(scope.space, scope.data)
    except ImportError as error:
        # said above where a version is to blame
        yield fail(
            "import", str(error), "as said above" if broken else "uv sync, or install pcdarts-tune anew"
        )
