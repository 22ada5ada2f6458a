"""The layers of the package: every import runs downward, also inside functions and under TYPE_CHECKING, without circles."""

from __future__ import annotations

import ast
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pcdarts_tune"
LAYERS: list[set[str]] = [
    {"core"},
    {"errors"},
    {"addresses", "files", "spread"},
    {"databases", "machine", "places", "plugins", "say", "tasks"},
    {"home"},
    {"spaces"},
    {"datasets", "drawing"},
    {"models", "testing"},
    {"tracking"},
    {"cluster"},
    {"training"},
    {"sweeps"},
    {"calibration", "keeping"},
    {"promotion", "lineage", "planning", "reporting", "doctor"},
    {"api"},
    {"cli"},
]
"""What stands at the package's root, lowest first. A name imports only what stands in a layer below its own."""
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}


def module_names() -> dict[str, Path]:
    """Module, without `pcdarts_tune.`, -> file; a folder's `__init__` bears the folder's name."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports_of(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name == "pcdarts_tune" or name.startswith("pcdarts_tune."):
                inside = name.removeprefix("pcdarts_tune").lstrip(".")
                found.add(inside if inside in modules else inside.rpartition(".")[0])
    return found


MODULES = module_names()
IMPORTS = {name: imports_of(path, MODULES) - {name} for name, path in MODULES.items()}


def test_what_stands_at_the_root_is_in_the_list() -> None:
    root = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert root - {"__init__", "__main__", "__pycache__", "py"} == set(HEIGHT)
    assert sum((PACKAGE / f"{name}.py").exists() for name in HEIGHT) <= 10


def test_imports_run_downward() -> None:
    upward = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if name not in ("", "__main__")
        and name.split(".")[0] != other.split(".")[0]
        and HEIGHT[other.split(".")[0]] >= HEIGHT[name.split(".")[0]]
    ]
    assert not upward, "\n".join(upward)


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_each_folder_says_what_it_holds_and_is_small() -> None:
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name:
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
            # a command has a module, and is found by its name: that folder is a list, and grows with the commands
            most = 50 if name == "cli.commands" else 26
            assert len(list(path.parent.glob("*.py"))) <= most, (
                f"{path.parent} has more than {most - 1} modules"
            )
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 350, f"{path} has {lines} lines"


def test_the_wheel_holds_every_folder() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {
        f"pcdarts_tune.{name}".rstrip(".") for name, path in MODULES.items() if path.name == "__init__.py"
    }
    assert listed == folders | {"pcdarts_tune.search_spaces"}
