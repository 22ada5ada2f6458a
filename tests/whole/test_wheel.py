"""The wheel, built and installed in a clean environment: it runs, it is whole, and nothing of it lies at top level."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = (
    "pcdarts_tune",
    "search_spaces",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "setup.py",
    "cli.py",
    "tests",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout keeps no build folder."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (CHECKOUT / part).is_dir():
            shutil.copytree(
                CHECKOUT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "reference")
            )
        elif (CHECKOUT / part).exists():
            shutil.copyfile(CHECKOUT / part, source / part)
    # what builds is what this environment has: no index is asked
    code = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, "dist"], cwd=source, check=True, stdout=subprocess.DEVNULL, timeout=300
    )
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; what it depends on is read from this one, the checkout is not."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    ours = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(ours)
    # a plain line in a .pth adds a folder, without running the .pth files in it: the editable install stays out
    Path(ours, "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=120
    )


def test_wheel_holds_every_module_and_space(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "pcdarts_tune").rglob("*.py")}
    spaces = {f"pcdarts_tune/search_spaces/{path.name}" for path in (CHECKOUT / "search_spaces").glob("*.*")}
    more = {
        "pcdarts_tune/search_spaces/__init__.py",
        "pcdarts_tune/py.typed",
    }
    pages = {
        f"pcdarts_tune/reporting/{path.name}" for path in (CHECKOUT / "pcdarts_tune/reporting").glob("*.html")
    }
    assert inside == modules | spaces | pages | more


def test_installed_command_lists_the_spaces(installed: Path, tmp_path: Path) -> None:
    result = run(installed, "-m", "pcdarts_tune", "spaces", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "quickstart" in result.stdout
    assert "cifar10" in result.stdout


def test_installed_package_is_the_wheel_s(installed: Path, tmp_path: Path) -> None:
    result = run(installed, "-c", "import pcdarts_tune; print(pcdarts_tune.__file__)", cwd=tmp_path)
    assert Path(result.stdout.strip()).is_relative_to(installed.parent.parent)


@pytest.mark.parametrize("name", ["cli", "tests", "search_spaces"])
def test_nothing_of_the_checkout_is_importable_at_top_level(
    installed: Path, name: str, tmp_path: Path
) -> None:
    result = run(installed, "-c", f"import {name}", cwd=tmp_path)
    assert result.returncode != 0
    assert "ModuleNotFoundError" in result.stderr


def test_entry_point_is_the_command_line(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "pcdarts-tune = pcdarts_tune.cli:main" in archive.read(entry_points).decode()
