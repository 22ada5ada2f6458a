"""The site's pages that are made of something else: of files outside docs/."""

from __future__ import annotations

import os
import re
from pathlib import Path

import command_pages

# pages of the repository that the site shows too
COPIED = {
    "README.md": "readme",
    "benchmarks/README.md": "benchmarks",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
    "deploy/README.md": "deploying",
    "examples/README.md": "examples",
    "examples/plugin/README.md": "example_plugin",
}
API = "Every name of the Python API, from its docstring; [Python](../python.md) shows how they work together."
CORE = "The algorithm, for programs of your own: it needs torch and torchvision only. These names stay compatible."
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def write(root: Path, folder: Path) -> None:
    """Writes the pages into the folder, those that did not change not again."""
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*.md"):
        if left.stem not in {"commands", "api", "core", *COPIED.values()}:
            left.unlink()  # of an earlier version
    _put(folder / "commands.md", command_pages.commands_page())
    _put(folder / "api.md", command_pages.names_page("import pcdarts_tune as pt", "pcdarts_tune", API))
    _put(folder / "core.md", command_pages.api_page("pcdarts_tune.core", "pcdarts_tune.core", CORE))
    for source, name in COPIED.items():
        text = (root / source).read_text(encoding="utf-8")
        _put(folder / f"{name}.md", _moved(text, root, source, folder.relative_to(root).as_posix()))


def relink(root: Path, name: str, source: list[str]) -> None:
    """Changes a page's links to copied pages in place (Sphinx's event source-read)."""
    if not name.startswith("generated/"):
        source[0] = _moved(source[0], root, f"docs/{name}.md", "docs")


def _moved(text: str, root: Path, source: str, target: str) -> str:
    """The text of the file `source` with the links that it needs in the folder `target`; both relative to the root."""

    def link(match: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(os.path.dirname(source), match[2]))
        if path in COPIED:
            path = f"docs/generated/{COPIED[path]}.md"
        return match[1] + os.path.relpath(path, target).replace(os.sep, "/") + match[3]

    return LINK.sub(link, text)


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
