"""What lies where: the home folder, the folders of its sweeps, and the stores beside it or in place of its own.

HOME/mlflow.db  HOME/mlartifacts/             MLflow's store, when no server is named
HOME/sweeps/NAME/sweep.json                   the resolved space, seed, data, versions: written once
HOME/sweeps/NAME/study.db                     the Optuna study: the truth about trials
HOME/sweeps/NAME/trials/<number>/             checkpoint while it runs, result.json and genotype.json when it ended
HOME/sweeps/NAME/evaluations/                 what evaluated genotypes scored
HOME/sweeps/NAME/ray/                         Ray's own files: disposable
HOME/sweeps/NAME/lock                         held by the process that runs the sweep
HOME/plugins/<digest>.py                      plug-in files that were given with --plugin: they may run again
HOME/calibrations/NAME/trials/<key>/          the trainings of a calibration, see calibration/work.py
HOME/evaluations/                             what these came to, for all calibrations of the home
HOME/cache/                                   decoded images: disposable
HOME/deletions/                               deletions that have begun, see keeping/journal.py
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pcdarts_tune.addresses import check_uri, sqlite_address
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import hold_lock
from pcdarts_tune.places import below

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def default_tracking_uri(home: Path) -> str:
    """MLflow's store beside the sweeps, as an absolute URI: a relative one would follow the working directory."""
    return sqlite_address(home / "mlflow.db")


def artifact_root(home: Path) -> Path:
    """Where MLflow keeps files when its store is the one of this home."""
    return home.absolute() / "mlartifacts"


def plugin_store(home: Path) -> Path:
    """Where plug-in files are kept that may run, see `plugins.trust_store`."""
    return home.absolute() / "plugins"


@dataclass(frozen=True)
class Where:
    """Where sweeps, runs and models are kept.

    Attributes:
        tracking_uri: MLflow's store; None for the home's own.
        study_uri: the PostgreSQL database of the Optuna study; None for a file in the sweep's folder.
    """

    home: Path
    tracking_uri: str | None = None
    study_uri: str | None = None

    @property
    def mlflow_uri(self) -> str:
        """Address of MLflow's store.

        Raises:
            UserError: `tracking_uri` names no store.
        """
        return check_uri(self.tracking_uri) if self.tracking_uri else default_tracking_uri(self.home)

    @property
    def home_flag(self) -> str:
        """` --home DIR` where a suggested command needs it to find this home, else nothing."""
        home = self.home.absolute()
        default = Path(os.environ.get("PCDARTS_TUNE_HOME") or "pcdarts-home").expanduser().absolute()
        return "" if home == default else f" --home {shlex.quote(str(home))}"


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep; `storage` is where trials leave files when that must be another place, which all nodes
    reach: a folder's path or a URL (see places.py)."""

    path: Path
    storage: str | None = None

    @classmethod
    def of(cls, home: Path, name: str) -> SweepFolder:
        """The folder of the sweep called `name`.

        Raises:
            UserError: when the name cannot be a folder's.
        """
        if not NAME.fullmatch(name):
            legal = "letters, digits, '_', '.' and '-', a letter or digit first, at most 100"
            wrong = f"{name!r} cannot name a sweep: {legal}"
            raise UserError(wrong, hint="a name such as --name first-sweep")
        return cls(home.absolute() / "sweeps" / name)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def record_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def study_url(self) -> str:
        return sqlite_address(self.path / "study.db")

    @property
    def ray(self) -> Path:
        return self.path / "ray"

    @property
    def evaluations(self) -> Path:
        """Where evaluated genotypes are, when that is a folder."""
        return Path(self.evaluations_address)

    @property
    def evaluations_address(self) -> str:
        """Where evaluated genotypes are: a path or a URL."""
        return self._address("evaluations")

    def trial(self, number: int) -> Path:
        """The folder of one trial, when it is one."""
        return Path(self.trial_address(number))

    def trial_address(self, number: int) -> str:
        """Where one trial leaves its files: a path or a URL."""
        return self._address("trials", str(number))

    def _address(self, *names: str) -> str:
        return below(self.storage or str(self.path), *names)


def sweep_names(home: Path) -> list[str]:
    """The sweeps in `home`, oldest first."""
    files = sorted((home / "sweeps").glob("*/sweep.json"), key=lambda file: file.stat().st_mtime)
    return [file.parent.name for file in files]


def find_sweep(home: Path, name: str) -> SweepFolder:
    """The folder of a sweep that exists.

    Raises:
        UserError: naming the sweeps there are.
    """
    folder = SweepFolder.of(home, name)
    if folder.record_file.is_file():
        return folder
    names = sweep_names(home)
    there = f"it has {', '.join(names[-10:])}" if names else "it has none"
    hint = "pcdarts-tune sweep --space quickstart --trials 4, or --home where the sweep is"
    raise UserError(f"no sweep named {name!r} in {home}{nearest(name, names)}; {there}", hint=hint)


def free_name(home: Path, stem: str) -> str:
    """`stem-1`, or the first number that no sweep has."""
    names = (f"{stem}-{number}" for number in count(1))
    return next(name for name in names if not (home / "sweeps" / name).exists())


def sweep_lock(folder: SweepFolder) -> AbstractContextManager[None]:
    """Held by the one process that runs a sweep."""
    return hold_lock(
        folder.path / "lock",
        f"sweep {folder.name!r} is already being run, by {{holder}}",
        f"pcdarts-tune status {folder.name}, or wait for it, or stop that process",
    )


def is_running(folder: SweepFolder) -> bool:
    """Whether a process holds the sweep's lock; writes nothing, and False where that cannot be told."""
    try:
        with (folder.path / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file: it never ran
        return False
    return False
