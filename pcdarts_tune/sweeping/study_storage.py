"""Optuna's storage of a study, SQLite or PostgreSQL, and what is done when it does not answer.

A PostgreSQL server that is away (a restart, a cut line) is waited for: the driver stands still meanwhile, and its trials
wait at the end of their epochs. Anything else, such as a full disk, ends the sweep with a message; what the trials have
done lies in their folders.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from pcdarts_tune.addresses import engine_url, is_postgresql, masked, without_secret
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.sweeping.diskfull import says_full

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that a database that was there before is waited for."""

P = ParamSpec("P")
T = TypeVar("T")


class _Stored(Protocol):
    url: str


S = TypeVar("S", bound=_Stored)


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's storage at `url`; its tables are made where there are none."""
    import optuna

    from pcdarts_tune.sweeping.study_lock import CONNECT

    if is_postgresql(url):
        kwargs = {"pool_pre_ping": True, "connect_args": CONNECT}
        return optuna.storages.RDBStorage(engine_url(url), engine_kwargs=kwargs)
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})


@contextmanager
def told(url: str) -> Iterator[None]:
    """What goes wrong while a study is opened, as a message.

    Raises:
        UserError: no database there, no right to it, not Optuna's.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ValueError, RuntimeError) as error:
        hint = "restore study.db from a copy; of another version of Optuna: `optuna storage upgrade --storage URL`"
        if is_postgresql(url):
            hint = (
                "the server's address, the right to create tables there, and the password: in --study-uri or "
                "PCDARTS_TUNE_STUDY_URI, or where libpq looks (PGPASSWORD, ~/.pgpass); it is never written down"
            )
        where = f"the Optuna study at {without_secret(url)}"
        if _full(error):
            raise WorkFailed(f"{where}: {_reason(error)}", hint=FULL) from None
        raise UserError(f"{where} cannot be opened: {_reason(error)}", hint=hint) from None


FULL = "make space on that disk, then `pcdarts-tune resume SWEEP`; nothing that was finished is lost"


def steady(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Try a method of a study again while its database is away. The method must bear to be begun twice.

    Raises:
        WorkFailed: it did not come back, or the store refuses.
    """

    @wraps(method)
    def patient(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        begun, pause = time.monotonic(), 0.5
        while True:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                if not _of_the_store(error):
                    raise
                if not _away(error) or time.monotonic() - begun > PATIENCE:
                    raise _failed(self.url, error) from error
                if pause == 0.5:
                    # seen on stderr also where nothing is configured
                    log.warning("the study at %s does not answer; waiting for it", without_secret(self.url))
                time.sleep(pause)
                pause = min(2 * pause, 5.0)

    return patient


def _failed(url: str, error: Exception) -> WorkFailed:
    hint = FULL if _full(error) else "`pcdarts-tune resume SWEEP` goes on once the database answers"
    return WorkFailed(f"the study at {without_secret(url)} failed: {_reason(error)}", hint=hint)


def _of_the_store(error: BaseException) -> bool:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, StorageInternalError | SQLAlchemyError)


def _away(error: BaseException) -> bool:
    """Whether the line to a server was cut, as against a refusal."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause: Any = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, DBAPIError) or "sqlite" in type(cause.orig).__module__:
        return False
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


def _full(error: BaseException) -> bool:
    return says_full(_reason(error))


def _reason(error: BaseException) -> str:
    """What the database said, in one line."""
    cause: Any = error.__cause__ if type(error).__name__ == "StorageInternalError" else error
    said = str(getattr(cause, "orig", None) or cause or error)
    return masked(" ".join(said.split())[:300]) or type(error).__name__
