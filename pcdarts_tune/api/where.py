"""Where sweeps, runs and models are, as options and environment variables say.

find_where(home="experiments").home
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pcdarts_tune import plugins
from pcdarts_tune.files import user_path
from pcdarts_tune.home import Where, plugin_store

HOME, TRACKING_URI, STUDY_URI, PLUGINS = (
    f"PCDARTS_TUNE_{name}" for name in ("HOME", "TRACKING_URI", "STUDY_URI", "PLUGINS")
)
"""The environment variables that stand for `--home`, `--tracking-uri`, `--study-uri` and `--plugin`."""
DEFAULT_HOME = Path("pcdarts-home")
Files = str | Path | Iterable[str | Path]
"""One path or several."""


def find_where(
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    study_uri: str | None = None,
    *,
    plugin: Files = (),
    of_new_sweep: bool = False,
) -> Where:
    """The home and its stores: what is given, else the environment's, else ./pcdarts-home with stores of its own. A sweep that
    exists knows where its study is.

    Args:
        plugin: Python files with operations, data sets, spaces or samplers, which this process knows from now on.

    Raises:
        UserError: a path that is none, a plug-in that is no Python file.
    """
    for path in [plugin] if isinstance(plugin, str | Path) else plugin:
        plugins.give(user_path(path).absolute())
    for name in filter(None, os.environ.get(PLUGINS, "").split(os.pathsep)):
        plugins.give(user_path(name).absolute())
    folder = user_path(home or os.environ.get(HOME) or DEFAULT_HOME).absolute()
    plugins.trust_store(plugin_store(folder))
    study = study_uri or (os.environ.get(STUDY_URI) if of_new_sweep else None)
    return Where(folder, tracking_uri or os.environ.get(TRACKING_URI) or None, study or None)


def path_or_none(path: str | Path | None) -> Path | None:
    """A path as it was written, absolute; None of None."""
    return None if path is None else user_path(path).absolute()
