"""The command line: one lazy group, one way to fail.

A subcommand is imported when it is used, so `pcdarts-tune --help` needs neither torch nor ray nor mlflow. Whatever goes
wrong ends as one message on stderr and an exit code: 0 done, 1 the work failed, 2 wrong usage or input, 130 interrupted.
A `UserError`, and a `ValueError` that this package raised itself, are for the user to fix: message and hint. Anything
else is a failure: a short message, and the traceback in a file (on stderr with -v).
"""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import click
from click.shell_completion import CompletionItem

from pcdarts_tune.addresses import masked
from pcdarts_tune.databases import find_trouble, is_database_error
from pcdarts_tune.errors import UserError, nearest, visible
from pcdarts_tune.machine import let_threads_sleep

COMMANDS: dict[str, dict[str, str]] = {
    "Sweeps": {
        "sweep": "Search with many hyperparameters: Ray Tune runs the trials, Optuna proposes.",
        "resume": "Go on with a sweep that was interrupted.",
        "extend": "Give a sweep more trials.",
        "status": "How far a sweep is.",
        "leaderboard": "A sweep's trials, best first; several sweeps side by side.",
        "compare": "Sweeps side by side: best so far, all trials in one order.",
        "report": "Write a sweep's report as one HTML page.",
        "table": "Mean, deviation and count by settings, as LaTeX, Markdown or CSV.",
        "calibrate": "How well a space's score ranks cells of known accuracy.",
        "promote": "Retrain the best genotype, test it once, register the model.",
        "rollback": "Give the alias `champion` back to the version before.",
    },
    "One step": {
        "search": "One PC-DARTS search in this process.",
        "retrain": "Train a genotype from scratch.",
        "finetune": "Train a model further on another data set.",
        "predict": "Classify images with a model.",
        "evaluate": "How good a model is on labelled images.",
        "export": "Write a model as ONNX, torch.export or safetensors.",
        "reproduce": "Run a trial, search or retraining again, and compare.",
    },
    "Keep order": {
        "list": "The sweeps and models of the home.",
        "note": "Write a note on a run, trial, sweep or model.",
        "tag": "Set tags on a run, trial, sweep or model.",
        "delete": "Delete sweeps and versions of models for good.",
        "clean": "Remove what the home does not need.",
    },
    "Look": {
        "show": "What a run is, where it comes from, what came of it.",
        "diff": "Two runs side by side.",
        "draw": "Draw a genotype's cells as SVG, PNG, PDF or DOT.",
        "spaces": "List the search spaces, or show one.",
        "ui": "Open MLflow on what the sweeps recorded.",
        "doctor": "Check versions, GPU, Ray, stores, disk and data.",
        "completion": "Complete words in bash, zsh or fish.",
        "bench": "Time the fast form against the textbook form.",
    },
}
"""Section -> subcommand -> its line in the help; `module_of` names its module."""

NAMES: tuple[str, ...] = tuple(name for section in COMMANDS.values() for name in section)


def module_of(name: str) -> str:
    """The module of a subcommand."""
    return f"pcdarts_tune.cli.commands.{name}"


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NAMES:
            return None
        command = importlib.import_module(module_of(cmd_name)).command
        assert isinstance(command, click.Command), f"{module_of(cmd_name)} has no `command`"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # an option that is misplaced or misspelt is click's to report
        if args and args[0] not in NAMES and not args[0].startswith("-"):
            near = nearest(args[0], NAMES)
            raise click.UsageError(f"No such command {args[0]!r}{near}; commands: {', '.join(NAMES)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        lines = [entry for section in COMMANDS.values() for entry in section.items()]
        items = [CompletionItem(name, help=line) for name, line in lines if name.startswith(incomplete)]
        # past click.Group's own, which would import every subcommand for its help
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"pcdarts-tune {version('pcdarts-tune')}")
        except PackageNotFoundError:
            click.echo("pcdarts-tune (a checkout, not installed)")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Each subcommand's --help has a worked example.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version.",
)
def cli() -> None:
    """PC-DARTS architecture search as Ray Tune trials: Optuna proposes, MLflow records, the best genotype is
    retrained and registered.

    \b
    Example:
      pcdarts-tune sweep --space quickstart --trials 4 --name first
      pcdarts-tune leaderboard first
      pcdarts-tune promote first
    """


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""

    # stdout is for results: MLflow would print an address there whenever a run on a server ends
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    let_threads_sleep()
    _escape_what_cannot_be_shown()
    arguments = list(sys.argv[1:] if args is None else args)
    meta: dict[str, Any] = {}
    try:
        with cli.make_context("pcdarts-tune", arguments) as ctx:
            meta = ctx.meta
            result = cli.invoke(ctx)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except BaseException as error:  # the one place where everything that went wrong is told
        return explain(error, verbose=meta.get("pcdarts_tune.verbosity", 0) > 0)


def _escape_what_cannot_be_shown() -> None:
    """Letters that the terminal's encoding lacks, as in names of classes on cp1252, are written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # the locale C lets bytes of file names through, and fails on letters
            handler = {"strict": "backslashreplace", "surrogateescape": "pcdarts_tune.show"}
            stream.reconfigure(errors=handler.get(stream.errors or "strict", stream.errors))


def _show_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Undecodable bytes of file names as they are, letters as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error("pcdarts_tune.show", _show_letters)


def main() -> None:
    """The entry point `pcdarts-tune`."""
    # what completes a word in the shell asks through this variable; click answers it
    if "_PCDARTS_TUNE_COMPLETE" in os.environ:
        _escape_what_cannot_be_shown()
        cli.main(prog_name="pcdarts-tune")
    sys.exit(run())


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
    elif is_database_error(error):
        trouble = find_trouble(error, "")
        message, advice = f"the database: {trouble.said}", f"Hint: {trouble.hint}"
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
