"""A home that was moved, copied or mounted elsewhere: MLflow keeps absolute addresses of a run's files in its database.

    follow_home("sqlite:////new/place/pcdarts-home/mlflow.db")      # mends them in one transaction, and says so

Without it a moved home would not find its models, and a copy would write into the original. A home that is reached by another
name (a link) is left alone.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pcdarts_tune.addresses import sqlite_file
from pcdarts_tune.databases import find_trouble, open_read_only
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_whole
from pcdarts_tune.home import SweepFolder, artifact_root, is_running, sweep_names
from pcdarts_tune.say import say

_HOLD_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Tables and columns of MLflow's database; of its files, MLmodel does."""


def follow_home(uri: str) -> None:
    """Make MLflow's records name the files of the home that the database lies in, where they name those of another place.

    Raises:
        UserError: it has to be done and cannot be: a sweep runs in this home under its old path, or it cannot be written to.
    """
    file = sqlite_file(uri)
    if file is None or not moved_from(file):
        return
    home = file.parent
    for name in sweep_names(home):
        if is_running(SweepFolder.of(home, name)):
            raise UserError(
                f"{home} is in use under another path: sweep {name!r} runs there, and its files would be lost to it",
                hint="wait until it has ended, or use the path that it was started with",
            )
    try:
        with closing(sqlite3.connect(file, timeout=60.0, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            roots = _other_roots(database, artifact_root(home))
            for root in roots:
                _rename(database, root, artifact_root(home))
            database.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        trouble = find_trouble(error, uri)
        message = f"{home} was moved here, and MLflow's records cannot be told so: {trouble.said}"
        raise UserError(message, hint=trouble.hint) from None
    for root in roots:
        say(
            f"note: {home} was at {place_of(root).parent}; MLflow's records now name its files where they are"
        )


def moved_from(file: Path) -> Path | None:
    """Where the home of an MLflow database was before; None where its records name it as it is."""
    own = artifact_root(file.parent)
    # a database beside no home keeps the addresses that it was given
    if (
        file.name != "mlflow.db"
        or not file.is_file()
        or not (own.is_dir() or (file.parent / "sweeps").is_dir())
    ):
        return None
    try:
        with closing(open_read_only(file, timeout=5.0)) as database:
            roots = _other_roots(database, own)
    except sqlite3.Error:  # whoever opens it says what is wrong
        return None
    return place_of(roots[0]).parent if roots else None


def _other_roots(database: sqlite3.Connection, own: Path) -> list[str]:
    """Addresses of folders for files that this home's folder stands for now."""
    query = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE '%/' || ?"
    found = [root for (root,) in database.execute(query, (own.name,))]
    return [root for root in found if place_of(root) != own and _stands_for(database, root, own)]


def _stands_for(database: sqlite3.Connection, root: str, own: Path) -> bool:
    """Whether `own` is what `root` was: that is gone, belongs to another home now, or holds runs that `own` holds."""
    path = place_of(root)
    if not path.exists():
        return True
    if own.exists() and path.samefile(own):
        return False
    if (path.parent / "mlflow.db").is_file():
        return True
    like = f"{root}/%"
    runs = database.execute("SELECT run_uuid FROM runs WHERE artifact_uri LIKE ? LIMIT 100", (like,))
    return any((own / run).is_dir() for (run,) in runs)


def _rename(database: sqlite3.Connection, root: str, own: Path) -> None:
    new = own.as_uri() if root.startswith("file:") else str(own)
    for table, column in _HOLD_ADDRESSES:
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (new, len(root) + 1, root, len(root) + 1, f"{root}/"),
        )
    # before the transaction ends: where it is cut off, all of it is done again. MLmodel also names what a model was logged from
    before, home = place_of(root).parent, own.parent
    for file in own.rglob("MLmodel"):
        text = file.read_text(encoding="utf-8")
        changed = text.replace(f"{before.as_uri()}/", f"{home.as_uri()}/").replace(f"{before}/", f"{home}/")
        if changed != text:
            write_whole(file, changed)


def place_of(address: str) -> Path:
    """The folder or file at an address in MLflow's records."""
    return Path(unquote(urlsplit(address).path)) if address.startswith("file:") else Path(address)
