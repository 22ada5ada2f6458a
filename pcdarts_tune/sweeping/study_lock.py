"""The lock of a sweep whose study is in PostgreSQL: an advisory lock there, for drivers on other machines see no file's.

    with StudyLock("postgresql://me@db/optuna", "first-1f0c…") as lock:
        lock.check()        # still ours, also after the server was restarted

PostgreSQL lets go of it when the connection ends, however the process ended; nothing is left to clean up. A pooler
between the two must keep sessions apart (PgBouncer: session pooling).
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pcdarts_tune.addresses import engine_url, without_secret
from pcdarts_tune.errors import UserError, WorkFailed

if TYPE_CHECKING:
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
        url: of the PostgreSQL database that holds the study.
        study: its name there.
        sweep: the sweep's name, for messages.

    Raises:
        UserError: on entering, when another driver holds it, with its process id and host; when nobody answers.
    """

    PATIENCE = 1.0
    """Seconds to try for: a driver that was just killed is noticed by the server an instant later."""

    def __init__(self, url: str, study: str, sweep: str) -> None:
        self._url, self._sweep, self._key = url, sweep, lock_key(study)
        self._engine: sqlalchemy.Engine | None = None
        self._held: sqlalchemy.Connection | None = None

    def __enter__(self) -> Self:
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def check(self) -> None:
        """See that the lock is still held; take it again where the connection was lost.

        Raises:
            WorkFailed: another driver took it meanwhile.
            sqlalchemy.exc.DBAPIError: when nobody answers.
        """
        import sqlalchemy
        from sqlalchemy.exc import DBAPIError

        if self._held is not None:
            try:
                self._held.execute(sqlalchemy.text("select 1"))
                return
            except DBAPIError:
                self._drop()
        try:
            self._take()
        except UserError as error:
            raise WorkFailed(
                f"the connection to the study was lost, and meanwhile {error}", hint=error.hint
            ) from None

    def _take(self) -> None:
        import sqlalchemy

        engine = _engine(self._url)
        connection = engine.connect()
        try:
            end = time.monotonic() + self.PATIENCE
            while True:
                query = sqlalchemy.text("select pg_try_advisory_lock(:key)")
                if connection.execute(query, {"key": self._key}).scalar():
                    break
                if time.monotonic() > end:
                    holder = connection.execute(sqlalchemy.text(_HOLDER), {"key": self._key}).scalar()
                    raise UserError(
                        f"sweep {self._sweep!r} is already being run, by {holder or 'another driver'}",
                        hint=f"wait for it, or stop that process; the study is in {without_secret(self._url)}",
                    )
                time.sleep(0.1)
        except BaseException:
            connection.close()
            engine.dispose()
            raise
        self._engine, self._held = engine, connection

    def _drop(self) -> None:
        if self._held is not None:
            # not given back to a pool, which would keep the session and its lock
            self._held.invalidate()
            self._held.close()
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._held = None


def lock_key(study: str) -> int:
    """The number that stands for a study among PostgreSQL's advisory locks: 0 <= key < 2**63."""
    return int.from_bytes(hashlib.sha256(f"pcdarts-tune/{study}".encode()).digest()[:8], "big") >> 1


def is_locked(url: str, study: str) -> bool:
    """Whether a driver holds the lock of a study; False where that cannot be told."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    engine = _engine(url)
    try:
        with engine.connect() as connection:
            holder = connection.execute(sqlalchemy.text(_HOLDER), {"key": lock_key(study)}).first()
        return holder is not None
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def _engine(url: str) -> sqlalchemy.Engine:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    connect: dict[str, Any] = dict(CONNECT)
    return sqlalchemy.create_engine(
        engine_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect
    )
