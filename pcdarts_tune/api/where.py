"""Where sweeps, runs and models are, as options and environment variables say.

find_where(home="experiments").home
"""

from __future__ import annotations

import os
from pathlib import Path

from pcdarts_tune.files import user_path
from pcdarts_tune.home import Where

HOME, TRACKING_URI, STUDY_URI = (f"PCDARTS_TUNE_{name}" for name in ("HOME", "TRACKING_URI", "STUDY_URI"))
"""The environment variables that stand for `--home`, `--tracking-uri` and `--study-uri`."""
DEFAULT_HOME = Path("pcdarts-home")


def find_where(
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    study_uri: str | None = None,
    *,
    of_new_sweep: bool = False,
) -> Where:
    """The home and its stores: what is given, else the environment's, else ./pcdarts-home with stores of its own. A sweep that
    exists knows where its study is."""
    folder = home or os.environ.get(HOME) or DEFAULT_HOME
    study = study_uri or (os.environ.get(STUDY_URI) if of_new_sweep else None)
    return Where(
        user_path(folder).absolute(), tracking_uri or os.environ.get(TRACKING_URI) or None, study or None
    )


def path_or_none(path: str | Path | None) -> Path | None:
    """A path as it was written, absolute; None of None."""
    return None if path is None else user_path(path).absolute()
