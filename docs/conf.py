"""Sphinx's configuration: `uv run --group docs sphinx-build -W -b html docs docs/_build`. It needs no network."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import docstrings  # noqa: E402
import site_pages  # noqa: E402

project = "pcdarts-tune"
copyright = "the authors of pcdarts-tune; Apache-2.0"
release = version = installed(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
# headings have the anchors of GitHub, so that one link serves both
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
# in docstrings `name` is code
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
html_theme = "furo"
html_title = "pcdarts-tune"
# as the pages look on GitHub: quotes and dashes as they are written
smartquotes = False

site_pages.write(HERE.parent, HERE / "generated")


def setup(app: Any) -> None:
    """Points links that leave docs/ at the site's own copies of those pages, and reads docstrings as they look."""
    app.connect("source-read", lambda _app, name, source: site_pages.relink(HERE.parent, name, source))
    app.connect("autodoc-process-docstring", lambda *given: docstrings.as_written(given[-1]), priority=400)
