"""All checks, first the versions of Python and the required packages: they are read from metadata, so that they are also given
where a package is missing or broken.

for check in examine(Scope(Where(home))): print(check.status, check.name, check.finding)
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from pcdarts_tune.doctor.check import Check, fail, ok, warn
from pcdarts_tune.home import Where

ALWAYS_LISTED = ("torch", "torchvision", "ray", "optuna", "mlflow")
"""Packages whose version is listed even where it is right."""


@dataclass(frozen=True)
class Scope:
    """What to check: `space` and `data` name images, none where both are None; `ray` says whether to start Ray, or to join it
    at the address of a cluster, and to run a task."""

    where: Where
    space: str | None = None
    data: Path | None = None
    address: str | None = None
    ray: bool = False


def examine(scope: Scope) -> Iterator[Check]:
    """Run one check after the other; a failure ends none of the others."""
    versions = list(check_versions())
    yield from versions
    try:
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


def check_versions() -> Iterator[Check]:
    """Python, and each package that pcdarts-tune requires."""
    needed, pythons = requirements()
    here = platform.python_version()
    if pythons.contains(here, prereleases=True):
        yield ok("python", here)
    else:
        advice = "uv python install 3.12, then uv sync"
        yield fail("python", f"{here}, but pcdarts-tune needs {pythons}", advice)
    for requirement in needed:
        name, advice = requirement.name, f"uv sync, or pip install '{requirement}'"
        try:
            found = version(name)
        except PackageNotFoundError:
            yield fail(name, "not installed", advice)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield fail(name, f"{found}, but pcdarts-tune needs {requirement.specifier}", advice)
        elif name in ALWAYS_LISTED:
            yield ok(name, found)
    yield from _check_torchvision()


def requirements() -> tuple[list[Requirement], SpecifierSet]:
    """The packages and the Python that pcdarts-tune requires, without its extras: from its metadata, or in a checkout that
    is not installed from pyproject.toml."""
    try:
        listed = requires("pcdarts-tune") or []
        pythons = metadata("pcdarts-tune")["Requires-Python"] or ""
    except PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
        listed, pythons = project["project"]["dependencies"], project["project"]["requires-python"]
    parsed = [Requirement(text) for text in listed]
    needed = [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return needed, SpecifierSet(pythons)


def _check_torchvision() -> Iterator[Check]:
    """torchvision is built for one torch: with another it fails when it is imported, or reads images wrongly."""
    try:
        listed, torch = requires("torchvision") or [], version("torch")
    except PackageNotFoundError:
        return
    base = torch.partition("+")[0]
    for text in listed:
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue
        if needed.name == "torch" and not needed.specifier.contains(base, prereleases=True):
            finding = f"{version('torchvision')} was built for torch{needed.specifier}, not for {torch}"
            advice = "install both from one index: pip install --upgrade torch torchvision"
            yield warn("torchvision", finding, advice)
