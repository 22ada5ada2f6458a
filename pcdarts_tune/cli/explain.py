"""What went wrong, in one message on stderr and an exit code: 1 work failed, 2 wrong usage or input, 130 interrupted.

A `UserError`, and a `ValueError` that this package raised itself, are for the user to fix: message and hint. Anything
else is a failure: a short message, and the traceback in a file (on stderr with -v).
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from types import TracebackType

import click

from pcdarts_tune.addresses import masked
from pcdarts_tune.errors import UserError, visible

_LOOK = "Hint: pcdarts-tune doctor looks for what is wrong on this machine."
_ROOM = "Hint: make room {} and run it again: long work goes on where it stopped."
_RIGHTS = "Hint: check who may write there, or take another place (--home DIR)."
_ADVICE = {
    errno.ENOSPC: _ROOM.format("on that disk"),
    errno.EDQUOT: _ROOM.format("within your quota"),
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "Hint: that disk is read-only; take another place (--home DIR).",
    errno.EMFILE: "Hint: ulimit -n 65536, then run it again.",
}


def explain(error: BaseException, *, verbose: bool = False) -> int:
    """Print what a person needs to know about `error`; return the exit code."""
    if isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        _say("Interrupted.")
        return 130
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
        # whoever read our output has gone; nothing may be flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, click.ClickException):
        error.message = visible(masked(error.message))  # type: ignore[misc,unused-ignore]
        error.show()
        return error.exit_code
    if verbose:
        sys.stderr.write(_traceback(error))
    if isinstance(error, UserError):
        _say(f"Error: {error}", f"Hint: {error.hint}" if error.hint else "")
        return error.exit_code
    if isinstance(error, ArithmeticError | ValueError) and _raised_here(error.__traceback__):
        _say(f"Error: {error}")
        return 1 if isinstance(error, ArithmeticError) else 2
    return _failure(error, verbose)


def _failure(error: BaseException, verbose: bool) -> int:
    first_line = (str(error).strip().splitlines() or [""])[0]
    message, advice = f"{type(error).__name__}: {first_line}".removesuffix(": "), _LOOK
    if type(error).__name__ == "OutOfMemoryError":
        message = f"out of memory: {first_line}"
        advice = (
            "Hint: a smaller batch (--set search.batch_size=…, --set retrain.batch_size=…) or a larger K."
        )
    elif isinstance(error, OSError):
        message, advice = str(error), _ADVICE.get(error.errno or 0, _LOOK)  # the message names the file
    where = "" if verbose else _keep_traceback(error)
    _say(f"Error: {message}", advice, where)
    return 1


def _keep_traceback(error: BaseException) -> str:
    try:
        handle, path = tempfile.mkstemp(prefix="pcdarts-tune-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_traceback(error))
    except OSError:
        return "Run it again with -v to see the traceback."
    return f"The traceback is in {path}; -v shows it here."


def _raised_here(trace: TracebackType | None) -> bool:
    """Whether the exception was raised by a line of this package, and not by a library that it called."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module == "pcdarts_tune" or module.startswith("pcdarts_tune.")


def _say(*lines: str) -> None:
    click.echo(visible(masked("\n".join(line for line in lines if line))), err=True)


def _traceback(error: BaseException) -> str:
    return masked("".join(traceback.format_exception(error)))
