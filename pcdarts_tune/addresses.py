"""Addresses of stores: which ones are valid, the driver that opens a database, and what of them may be shown.

    without_secret("postgresql://me:hunter2@db/optuna?sslmode=require")     # "postgresql://me@db/optuna?sslmode=require"

A password is used and never written down: not in files, runs, logs or messages. Every message passes `masked` last, which
also hides the passwords of the addresses that this process was given (`keep_secret`).
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from pcdarts_tune.errors import UserError

_SERVERS = ("http", "https", "databricks", "databricks-uc")
_DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mssql")
_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token")
_USER_INFO = re.compile(r"(?<=://)[^\s/@'\"]*@|(?<![\w:/])[\w.+-]+:[^\s/@:'\"]+@(?=[\w\[])")
"""User name and password before a host, in an address and in `user:password@host` alone."""
_QUERY = re.compile(rf"([?&][\w.-]*(?:{'|'.join(_SECRET_WORDS)})[\w.-]*=)[^\s&'\"]*", re.IGNORECASE)
_known: set[str] = set()


def sqlite_address(file: Path) -> str:
    """The address of a SQLite file for SQLAlchemy, MLflow and Optuna, whatever signs its absolute path holds.

    Raises:
        UserError: the installed SQLAlchemy cannot be given that path.
    """
    path = str(file.absolute())
    if "%" not in path and "?" not in path:
        return f"sqlite:///{path}"
    from sqlalchemy import URL, make_url

    # with the driver's name: of a plain sqlite:/// MLflow makes the folder that the quoted path names
    uri = URL.create("sqlite+pysqlite", database=path).render_as_string()
    if make_url(uri).database != path:  # SQLAlchemy before 2.1 quotes nothing
        hint = "a folder without % and ? in its path, or SQLAlchemy 2.1 or newer"
        raise UserError(f"{path} cannot be the address of a database", hint=hint)
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The file at a SQLite address, as SQLAlchemy reads it; None for any other address, and for a database in memory."""
    if _dialect(uri) != "sqlite" or ":///" not in uri:
        return None
    path = uri.partition(":///")[2]
    if "%" in path or "?" in path:
        from sqlalchemy import make_url

        path = make_url(uri).database or ""
    return None if path in ("", ":memory:") else Path(path)


def is_database(uri: str) -> bool:
    """Whether the address names a database, not a server or a folder."""
    return _dialect(uri) in _DATABASES


def is_postgresql(uri: str) -> bool:
    """Whether the address names a PostgreSQL database."""
    return _dialect(uri) in ("postgresql", "postgres")


def check_uri(uri: str) -> str:
    """A tracking URI as MLflow takes it, with an absolute path.

    Raises:
        UserError: it is not the address of a store that can be written to.
    """
    keep_secret(uri)
    scheme = _scheme(uri)
    _require_whole(uri, "--tracking-uri")
    if (file := sqlite_file(uri)) is not None:
        query = uri.partition("?")[2]
        return f"{sqlite_address(file)}{'?' if query else ''}{query}"
    if is_postgresql(uri):
        return engine_url(uri)
    if scheme in _SERVERS or (is_database(uri) and _dialect(uri) != "sqlite"):
        return uri
    raise UserError(
        f"--tracking-uri {without_secret(uri)!r} is no address of an MLflow store",
        hint="http://HOST:PORT of an MLflow server, sqlite:////absolute/path/mlflow.db, or postgresql://USER@HOST/DB",
    )


def _require_whole(uri: str, option: str) -> None:
    """Raise UserError for an address whose host or port is invalid."""
    reason = ""
    try:
        parts = urlsplit(uri)
        lacking = parts.scheme in ("http", "https") and not parts.hostname
        _ = parts.port
    except ValueError as error:
        lacking, reason = True, f": {masked(str(error))}"
    if lacking or not uri.isprintable():
        raise UserError(f"{option} {without_secret(uri)!r} is no address{reason}", hint="http://HOST:PORT")


def check_study_uri(uri: str) -> str:
    """The address of a PostgreSQL database for Optuna's study.

    Raises:
        UserError: it is not one, or no driver is installed.
    """
    keep_secret(uri)
    _require_whole(uri, "--study-uri")
    if is_postgresql(uri):
        engine_url(uri)
        return uri
    hint = "postgresql://USER@HOST/DB; without --study-uri the study is a SQLite file in --home"
    raise UserError(f"--study-uri {without_secret(uri)!r} is no address of a PostgreSQL database", hint=hint)


def engine_url(uri: str) -> str:
    """A PostgreSQL address with the driver that is installed; any other as it is.

    Raises:
        UserError: no driver is installed.
    """
    scheme, separator, rest = uri.partition("://")
    base, _, driver = scheme.partition("+")
    if base not in ("postgresql", "postgres"):
        return uri
    wanted = (driver,) if driver else ("psycopg", "psycopg2")
    for name in wanted:
        if find_spec(name) is not None:
            return f"postgresql+{name}{separator}{rest}"
    hint = "uv sync --extra postgres in the checkout; elsewhere pip install 'pcdarts-tune[postgres]'"
    raise UserError(f"{without_secret(uri)} needs the package {wanted[0]}, which is not installed", hint=hint)


def same_database(one: str, other: str) -> bool:
    """Whether two addresses name one PostgreSQL database."""
    if not (is_postgresql(one) and is_postgresql(other)):
        return False
    a, b = urlsplit(one), urlsplit(other)
    return (a.hostname, a.port or 5432, a.path) == (b.hostname, b.port or 5432, b.path)


def without_secret(uri: str) -> str:
    """The address without its password, and a server's without user name and query, as it may be shown and written."""
    scheme = _scheme(uri)
    if _dialect(uri) == "sqlite":  # a path, which may hold any sign
        return uri
    if (parts := _split(uri)) is None:
        return f"{scheme}://…" if scheme else "…"
    host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    if ":" in host:
        host = f"[{host}]"
    user, query = "", ""
    if is_database(uri):
        user = f"{parts.username}@" if parts.username else ""
        kept = [(key, value) for key, value in parse_qsl(parts.query) if not _secret_key(key)]
        query = urlencode(kept, safe="/")
    return f"{scheme}://{user}{host}{port}{parts.path}{'?' if query else ''}{query}"


def has_secret(uri: str) -> bool:
    """Whether an address holds a password or a query that may be one."""
    if _dialect(uri) == "sqlite":
        return False
    if (parts := _split(uri)) is None or parts.password is not None:
        return True
    if is_database(uri):
        return any(_secret_key(key) for key, _ in parse_qsl(parts.query))
    return bool(parts.query)


def keep_secret(uri: str) -> None:
    """Remember the passwords in an address, so that `masked` finds them wherever they turn up."""
    if _dialect(uri) == "sqlite":
        return
    database = is_database(uri)
    # up to the last @: a password may hold signs that end the host's part too early
    user, _, password = uri.partition("://")[2].rpartition("@")[0].partition(":")
    found = [password if password or database else user]  # https://TOKEN@host
    found += [value for key, value in parse_qsl(uri.partition("?")[2]) if not database or _secret_key(key)]
    # shorter ones would blacken ordinary words
    _known.update(form for secret in found for form in (secret, unquote(secret)) if len(form) >= 4)


def masked(text: str) -> str:
    """`text` without user names and passwords of addresses, and without the passwords this process was given."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, "…")
    return _QUERY.sub(r"\1…", _USER_INFO.sub("…@", text))


def masked_line(error: BaseException | str, length: int = 300) -> str:
    """An error, or what one said, as one line of at most `length` characters without passwords; an error that says nothing
    by the name of its class."""
    # masked before it is cut: the first part of a password that crosses the end would not be found
    text = masked(" ".join(str(error).split()))[:length]
    return text if text or isinstance(error, str) else type(error).__name__


def _split(uri: str) -> SplitResult | None:
    """The parts of an address; None where they cannot be told apart, so that any of them may hold a password."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    # a password that holds one of / ? # ends the host's part too early
    return None if "@" in parts.path + parts.query + parts.fragment else parts


def _secret_key(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _scheme(uri: str) -> str:
    return match.group(1).lower() if (match := re.match(r"([A-Za-z][\w+.-]*):", uri)) else ""


def _dialect(uri: str) -> str:
    """The scheme without a driver: `postgresql` of `postgresql+psycopg://…`."""
    return _scheme(uri).partition("+")[0]
