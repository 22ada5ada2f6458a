"""All checks before work begins: versions, machine, stores, Ray, images.

for check in examine(Scope(Where(home))):
    print(check.status, check.name, check.finding)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pcdarts_tune.doctor.check import Check, fail
from pcdarts_tune.home import Where


@dataclass(frozen=True)
class Scope:
    """What to check.

    Attributes:
        space, data: the images to check; none where both are None.
        address: of a Ray cluster.
        ray: whether to start Ray, or join it at the address, and run a task.
    """

    where: Where
    space: str | None = None
    data: Path | None = None
    address: str | None = None
    ray: bool = False


def examine(scope: Scope) -> Iterator[Check]:
    """Run one check after the other; a failure ends none of the others."""
    versions: list[Check] = []
    try:
        from pcdarts_tune.doctor.versions import check_versions

        versions += check_versions()
        yield from versions

        from pcdarts_tune.doctor.machine import check_machine, check_ray
        from pcdarts_tune.doctor.stores import check_images, check_stores

        yield from check_machine(scope.where.home)
        yield from check_stores(scope.where)
        yield from check_ray(address=scope.address, start=scope.ray)
        if scope.space is not None or scope.data is not None:
            yield from check_images(scope.space, scope.data)
    except ImportError as error:
        broken = any(check.status == "fail" for check in versions)
        advice = "as said above" if broken else "uv sync, or install pcdarts-tune anew"
        yield fail("import", str(error), advice)
