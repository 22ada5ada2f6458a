"""Whether Python and the packages are those this one works with. Nothing is imported: metadata says it.

list(check_versions())
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from pcdarts_tune.doctor.check import Check, fail, ok, warn

SHOWN = ("torch", "torchvision", "ray", "optuna", "mlflow")
"""Whose versions are always said; the others only when they are wrong."""


def check_versions() -> Iterator[Check]:
    """Python, and each package that pcdarts-tune requires."""
    wanted, pythons = requirements()
    here = platform.python_version()
    if pythons.contains(here, prereleases=True):
        yield ok("python", here)
    else:
        yield fail(
            "python", f"{here}, but pcdarts-tune needs {pythons}", "uv python install 3.12, then uv sync"
        )
    for requirement in wanted:
        name = requirement.name
        try:
            found = version(name)
        except PackageNotFoundError:
            yield fail(name, "not installed", f"uv sync, or pip install '{requirement}'")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            todo = f"uv sync, or pip install '{requirement}'"
            yield fail(name, f"{found}, but pcdarts-tune needs {requirement.specifier}", todo)
        elif name in SHOWN:
            yield ok(name, found)
    yield from _torchvision()


def requirements() -> tuple[list[Requirement], SpecifierSet]:
    """What pcdarts-tune requires, and of Python: from its metadata, or in a checkout that is not installed from
    pyproject.toml."""
    try:
        listed = requires("pcdarts-tune") or []
        from importlib.metadata import metadata

        pythons = metadata("pcdarts-tune")["Requires-Python"] or ""
    except PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
        listed, pythons = project["project"]["dependencies"], project["project"]["requires-python"]
    parsed = [Requirement(text) for text in listed]
    # extras are for those who ask for them
    needed = [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return needed, SpecifierSet(pythons)


def _torchvision() -> Iterator[Check]:
    """torchvision is built for one torch: with another it fails when it is imported, or reads images wrongly."""
    try:
        listed, torch = requires("torchvision") or [], version("torch")
    except PackageNotFoundError:
        return
    for text in listed:
        if not re.match(r"torch\b", text):
            continue
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.name == "torch" and not wanted.specifier.contains(
            torch.partition("+")[0], prereleases=True
        ):
            yield warn(
                "torchvision",
                f"{version('torchvision')} was built for torch{wanted.specifier}, not for {torch}",
                "install both from one index: pip install --upgrade torch torchvision",
            )
