"""Optuna's storage of a study, SQLite or PostgreSQL: how it is opened, locked, and waited for when it does not answer.

    with StudyLock("postgresql://me@db/optuna", "first-1f0c…", "first") as lock:
        lock.check()        # still ours, also after the server was restarted

Drivers on other machines see no file's lock, so with PostgreSQL a sweep has an advisory lock there, which the server lets go of
when the connection ends. A pooler between the two must keep sessions apart (PgBouncer: session pooling).
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from pcdarts_tune.addresses import engine_url, is_postgresql, without_secret
from pcdarts_tune.databases import find_trouble
from pcdarts_tune.errors import UserError, WorkFailed

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

CONNECT = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "application_name": f"pcdarts-tune, process {os.getpid()} on {socket.gethostname()}"[:63],
}
"""How libpq connects: a dead line is noticed within a minute, and the server can say who holds a lock."""

_HOLDER = """
select application_name || coalesce(' (' || host(client_addr) || ')', '')
       || ' since ' || to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS')
from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and objsubid = 1 and granted
  and pg_locks.database = (select oid from pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = :key
"""


class StudyLock:
    """Held by the one process that runs a sweep, whichever machine that is on.

    Args:
        url: of the PostgreSQL database that holds the study, by the name `study`.
        sweep: the name of the sweep, for messages.

    Raises:
        UserError: on entering, when another driver holds it, with its process id and host; when nobody answers.
    """

    PATIENCE = 1.0
    """Seconds to try for: a driver that was just killed is noticed by the server an instant later."""

    def __init__(self, url: str, study: str, sweep: str) -> None:
        self._url, self._sweep, self._key = url, sweep, lock_key(study)
        self._held: sqlalchemy.Connection | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def check(self) -> None:
        """See that the lock is still held; take it again where the connection was lost.

        Raises:
            WorkFailed: another driver took it meanwhile.
            sqlalchemy.exc.DBAPIError: when nobody answers.
        """
        import sqlalchemy

        if self._held is not None:
            try:
                self._held.execute(sqlalchemy.text("select 1"))
                return
            except sqlalchemy.exc.DBAPIError:
                self._drop()
        try:
            self._take()
        except UserError as error:
            raise WorkFailed(
                f"the connection to the study was lost, and meanwhile {error}", hint=error.hint
            ) from None

    def _take(self) -> None:
        import sqlalchemy

        with ExitStack() as resources:
            engine = _engine(self._url)
            resources.callback(engine.dispose)
            connection = engine.connect()
            resources.callback(connection.close)
            # not given back to a pool, which would keep the session and its lock
            resources.callback(connection.invalidate)
            query = sqlalchemy.text("select pg_try_advisory_lock(:key)")
            end = time.monotonic() + self.PATIENCE
            while not connection.execute(query, {"key": self._key}).scalar():
                if time.monotonic() > end:
                    holder = _holder(connection, self._key) or "another driver"
                    raise UserError(
                        f"sweep {self._sweep!r} is already being run, by {holder}",
                        hint=f"wait for it, or stop that process; the study is in {without_secret(self._url)}",
                    )
                time.sleep(0.1)
            self._held, self._resources = connection, resources.pop_all()

    def _drop(self) -> None:
        self._held = None
        self._resources.close()


def lock_key(study: str) -> int:
    """The number that stands for a study among PostgreSQL's advisory locks: 0 <= key < 2**63."""
    return int.from_bytes(hashlib.sha256(f"pcdarts-tune/{study}".encode()).digest()[:8], "big") >> 1


def is_locked(url: str, study: str) -> bool:
    """Whether a driver holds the lock of a study; False where the database does not say."""
    from sqlalchemy.exc import SQLAlchemyError

    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return _holder(connection, lock_key(study)) is not None
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def _holder(connection: sqlalchemy.Connection, key: int) -> str | None:
    """Who holds a lock, in words; None where nobody does."""
    import sqlalchemy

    row = connection.execute(sqlalchemy.text(_HOLDER), {"key": key}).first()
    return None if row is None else row[0] or "another driver"


def _engine(url: str) -> sqlalchemy.Engine:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    return sqlalchemy.create_engine(
        engine_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=dict(CONNECT)
    )


log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that a database that was there before is waited for."""
UNLOCKED_WITHIN = 60.0
"""Seconds that SQLite waits for another process to end its writing."""

P = ParamSpec("P")
T = TypeVar("T")


class _Stored(Protocol):
    url: str


S = TypeVar("S", bound=_Stored)


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's storage at `url`; its tables are made where there are none."""
    import optuna

    if is_postgresql(url):
        kwargs = {"pool_pre_ping": True, "connect_args": CONNECT}
        return optuna.storages.RDBStorage(engine_url(url), engine_kwargs=kwargs)
    # Optuna takes {} for a place to fill in
    url = url.replace("{", "{{").replace("}", "}}")
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": UNLOCKED_WITHIN}})


@contextmanager
def explain_open_errors(url: str) -> Iterator[None]:
    """What goes wrong while a study is opened, as a message.

    Raises:
        UserError: no database there, no right to it, not Optuna's.
        WorkFailed: it is locked, or its disk is full.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ValueError, RuntimeError) as error:
        found = find_trouble(error, url).explain("the Optuna study")
        if is_postgresql(url) and not isinstance(found, WorkFailed):
            found.hint = (
                "the server's address, the right to create tables there, and the password: in --study-uri or "
                "PCDARTS_TUNE_STUDY_URI, or where libpq looks (PGPASSWORD, ~/.pgpass); it is never written down"
            )
        raise found from None


def erase_study(url: str, name: str) -> None:
    """Remove the study of that name from the store at `url`; nothing where there is none.

    Raises:
        UserError, WorkFailed: the store cannot be opened, or does not let it go.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with explain_open_errors(url), suppress(KeyError):
        optuna.delete_study(study_name=name, storage=open_storage(url))


def retry_while_away(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Try a method of a study again while its database is away. The method must bear to be begun twice.

    Raises:
        WorkFailed: it did not come back, or the store refuses.
    """

    @wraps(method)
    def patient(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        begun, pause = time.monotonic(), 0.5
        while True:
            try:
                return method(self, *args, **kwargs)
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _away(error) or time.monotonic() - begun > PATIENCE:
                    found = find_trouble(error, self.url)
                    again = "`pcdarts-tune resume SWEEP` goes on once the database answers"
                    raise WorkFailed(
                        f"the study at {without_secret(self.url)} failed: {found.said}",
                        hint=again if found.kind == "other" else found.hint,
                    ) from error
                if pause == 0.5:
                    # seen on stderr also where nothing is configured
                    log.warning("the study at %s does not answer; waiting for it", without_secret(self.url))
                time.sleep(pause)
                pause = min(2 * pause, 5.0)

    return patient


def _away(error: BaseException) -> bool:
    """Whether the line to a server was cut, as against a refusal."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause: Any = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, DBAPIError) or "sqlite" in type(cause.orig).__module__:
        return False
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)
