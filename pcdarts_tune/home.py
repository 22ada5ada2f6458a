"""What lies where: the home folder, a sweep's folder, its record, and writing files whole or not at all.

HOME/mlflow.db  HOME/mlartifacts/             MLflow's store, when no server is named
HOME/sweeps/NAME/sweep.json                   the resolved space, seed, data, versions: written once
HOME/sweeps/NAME/study.db                     the Optuna study: the truth about trials
HOME/sweeps/NAME/trials/<number>/             checkpoint while it runs, result.json and genotype.json when it ended
HOME/sweeps/NAME/evaluations/                 what evaluated genotypes scored
HOME/sweeps/NAME/ray/                         Ray's own files: disposable
HOME/sweeps/NAME/lock                         held by the process that runs the sweep

>>> SweepFolder.of(Path("pcdarts-home"), "first").study_url
"""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.inputs import read_json as read_json
from pcdarts_tune.inputs import user_path as user_path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def default_tracking_uri(home: Path) -> str:
    """MLflow's store beside the sweeps, as an absolute URI: a relative one would follow the working directory."""
    return f"sqlite:///{home.absolute()}/mlflow.db"


def artifact_root(home: Path) -> Path:
    """Where MLflow keeps files when its store is the one of this home."""
    return home.absolute() / "mlartifacts"


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep; `storage` is where trials leave files when that must be another place, which all nodes
    reach: a folder's path or a URL (see sweeping/storage.py).
    """

    path: Path
    storage: str | None = None

    @classmethod
    def of(cls, home: Path, name: str) -> SweepFolder:
        """The folder of the sweep called `name`.

        Raises:
            UserError: when the name cannot be a folder's.
        """
        if not NAME.fullmatch(name):
            raise UserError(
                f"{name!r} cannot name a sweep: letters, digits, '_', '.' and '-', "
                "a letter or digit first, at most 100",
                hint="a name such as --name first-sweep",
            )
        return cls(home.absolute() / "sweeps" / name)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def record_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def study_url(self) -> str:
        return f"sqlite:///{self.path}/study.db"

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
        from pcdarts_tune.sweeping.storage import below

        return below(self.storage or str(self.path), *names)


NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "gpfs",
    "beegfs",
    "sshfs",
    "s3fs",
)
"""How the types of file systems begin, after `fuse.`, that several machines reach."""


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The type of the file system that a path is on, or will be, when other machines reach it too; None where it is a
    disk of this machine, or that cannot be told (outside Linux)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    there = path.absolute()
    found = (0, "")
    for line in lines:
        _, place, kind, *_ = [*line.split(), "", "", ""]
        folder = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), place) or "/")
        if there.is_relative_to(folder) and len(folder.parts) >= found[0]:  # a later mount hides an earlier
            found = (len(folder.parts), kind)
    kind = found[1]
    return kind if kind.removeprefix("fuse.").startswith(NETWORK_FILE_SYSTEMS) else None


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
    raise UserError(
        f"no sweep named {name!r} in {home}{nearest(name, names)}; {there}",
        hint="pcdarts-tune sweep --space quickstart --trials 4, or --home where the sweep is",
    )


def free_name(home: Path, stem: str) -> str:
    """`stem-1`, or the first number that no sweep has."""
    number = 1
    while (home / "sweeps" / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def write_whole(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # a process id is not enough: nodes that share the folder have the same ones
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """`write_whole` of a JSON value."""
    write_whole(path, json.dumps(value, indent=1) + "\n")
