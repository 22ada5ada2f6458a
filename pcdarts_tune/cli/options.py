"""Options that several subcommands share, so that each is spelt, explained and checked in one place.

@options.home
@options.output
def command(where: Where, as_json: bool) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from pcdarts_tune.api import where as places
from pcdarts_tune.api.options import DEVICES, check_model_name
from pcdarts_tune.cli import completing
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import user_path
from pcdarts_tune.home import Where, plugin_store
from pcdarts_tune.say import VERBOSITY, say

F = TypeVar("F", bound=Callable[..., Any])


class NearestChoice(click.Choice[str]):
    """A choice whose error names the nearest legal value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = nearest(str(value), [str(choice) for choice in self.choices])
            raise click.BadParameter(error.message + near, ctx, param) from None


class GivenPath(click.Path):
    """A path, made absolute, that says something: `--home "$UNSET"` is a mistake, not the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("an empty path; '.' is the folder that you are in", param, ctx)
        return super().convert(user_path(value).absolute(), param, ctx)


def option_group(kind: Callable[..., Any], name: str, *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """A decorator that gives a command the options, and as one argument, `name`, what `kind` makes of the values that are
    given; they are called like its parameters."""

    def decorate(function: F) -> F:
        @wraps(function)
        def wrapped(**values: Any) -> Any:
            given = {key: values.pop(key) for key in keys}
            values[name] = kind(**{key: value for key, value in given.items() if value is not None})
            return function(**values)

        before = len(getattr(wrapped, "__click_params__", ()))
        for option in reversed(options):
            option(wrapped)
        params: list[click.Parameter] = getattr(wrapped, "__click_params__")  # noqa: B009
        keys = [param.name for param in params[before:]]
        return wrapped  # type: ignore[return-value]

    return decorate


_home = click.option(
    "--home",
    type=GivenPath(file_okay=False, path_type=Path),
    envvar=places.HOME,
    default=places.DEFAULT_HOME,
    show_default="./pcdarts-home",
    show_envvar=True,
    help="Folder that holds everything a sweep leaves.",
)
_tracking_uri = click.option(
    "--tracking-uri",
    metavar="URI",
    envvar=places.TRACKING_URI,
    show_envvar=True,
    help="MLflow server or store.  [default: SQLite in --home]",
)
_study_uri = click.option(
    "--study-uri",
    metavar="URI",
    envvar=places.STUDY_URI,
    show_envvar=True,
    help="PostgreSQL database for Optuna's study.  [default: SQLite in --home]",
)
# a sweep knows where its study is; the password it does not keep
_study_uri_again = click.option(
    "--study-uri",
    metavar="URI",
    help=f"The study's PostgreSQL database once more, with its password; {places.STUDY_URI}, PGPASSWORD or ~/.pgpass do as well.",
)


def _give(ctx: click.Context, param: click.Parameter, value: tuple[Path, ...]) -> None:
    if value and not ctx.resilient_parsing:
        from pcdarts_tune import plugins

        for path in value:
            plugins.give(path)


plugin = click.option(
    "--plugin",
    metavar="FILE.py",
    type=GivenPath(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    envvar=places.PLUGINS,
    show_envvar=True,
    expose_value=False,
    is_eager=True,  # what the other options name may be in it
    callback=_give,
    help="Python file with operations, data sets, spaces or samplers of your own; may be given again.",
)
"""`--plugin`, which says what this process knows."""


def _where(**values: Any) -> Where:
    from pcdarts_tune import plugins

    where = Where(**values)
    plugins.trust_store(plugin_store(where.home))
    return where


def _stored(*more: Callable[[Any], Any]) -> Callable[[F], F]:
    group = option_group(_where, "where", _home, *more)
    return lambda command: plugin(group(command))


home = _stored()
"""`--home`, handed over as `where`, a `Where`; and `--plugin`, as in all of these."""
store = _stored(_tracking_uri)
"""`--home` and `--tracking-uri`, handed over as `where`."""
study = _stored(_tracking_uri, _study_uri)
"""`--home`, `--tracking-uri` and `--study-uri`, handed over as `where`."""
sweep_store = _stored(_tracking_uri, _study_uri_again)
"""The same for a sweep that exists."""
data = click.option(
    "--data",
    type=GivenPath(path_type=Path),
    help="Folder with train/ and test/ or with class folders, a parquet file, a folder of train/test parquet files; "
    "or the root of a torchvision data set that the space names.",
)
device = click.option(
    "--device",
    type=NearestChoice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes a GPU when there is one.",
)
seed = click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of all randomness.  [default: the space's]"
)
address = click.option(
    "--address", metavar="ADDR", help="Ray cluster: HOST:PORT, or auto for the one on this machine."
)
storage = click.option(
    "--storage",
    metavar="URL|DIR",
    help="Where trials keep checkpoints, when nodes do not share --home: a folder that all of them reach, or an object "
    "store (s3://BUCKET/FOLDER, gs://…).  [default: a folder in --home]",
)
track = click.option(
    "--track/--no-track", default=True, show_default=True, help="Record the training in MLflow."
)


def _threads(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
    if value is not None:
        from pcdarts_tune.machine import usable_cores

        if value > (there := usable_cores()):
            say(
                f"note: --threads {value}, and {there:g} cores are there: more threads than cores wait for each other"
            )
    return value


threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    callback=_threads,
    help="CPU threads of the training.  [default: PyTorch's number, with --workers the cores of each]",
)


def benchmark(command: F) -> F:
    """`--benchmark FILE` and `--truth COLUMN`, handed over as `benchmark` and `truth`."""
    file = click.option(
        "--benchmark",
        type=GivenPath(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A table of cells with known accuracies: a CSV file (also .csv.gz) or a JSON list.",
    )
    column = click.option(
        "--truth",
        metavar="COLUMN[,COLUMN]",
        help="Columns of --benchmark.  [default: the means over seeds, or all numbers]",
    )
    return file(column(command))


def _model(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return check_model_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


model = click.option(
    "--model",
    metavar="NAME",
    callback=_model,
    help="Name to register the model under.  [default: the sweep's]",
)
register = click.option(
    "--register",
    metavar="NAME",
    callback=_model,
    help="Register the model in MLflow under this name; it becomes `champion` unless the present one is better.",
)


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Options that do not go together, as an error of usage."""
    try:
        yield
    except UserError as error:
        raise click.UsageError("; ".join(filter(None, (str(error), error.hint)))) from None


def output_file(help: str = "", *, required: bool = False) -> Callable[[F], F]:
    """`-o FILE`."""
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("-o", "--output", type=kind, required=required, help=help)


def output_folder(help: str) -> Callable[[F], F]:
    """`-o FOLDER`, which must be given."""
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("-o", "--output", type=kind, required=True, help=help)


def count(
    flag: str, default: int, help: str, *, least: int = 1, metavar: str | None = None
) -> Callable[[F], F]:
    """A whole number, `least` or more."""
    kind = click.IntRange(min=least)
    return click.option(flag, type=kind, default=default, show_default=True, metavar=metavar, help=help)


yes = click.option("--yes", is_flag=True, help="Do it without asking.")
settings = click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completing.settings,
    help="Change a value of the space, such as search.epochs=3; may be given again.",
)


def space(default: str, inherited: str = "") -> Callable[[F], F]:
    """`--space NAME|FILE`, each command with its own default; None where it is left out and may be `inherited`, in words."""
    return click.option(
        "--space",
        metavar="NAME|FILE",
        default=None if inherited else default,
        shell_complete=completing.spaces,
        show_default=f"{inherited}, else {default}" if inherited else True,
        help="Search space: a name that `pcdarts-tune spaces` lists, or a YAML file.",
    )


def verbosity(function: F) -> F:
    """`-v` and `-q`; what they add up to is `verbosity()`."""

    def count(ctx: click.Context, param: click.Parameter, value: int) -> None:
        ctx.meta[VERBOSITY] = ctx.meta.get(VERBOSITY, 0) + (value if param.name == "verbose" else -value)

    common: dict[str, Any] = {"count": True, "expose_value": False, "callback": count}
    function = click.option("-q", "--quiet", help="No progress, only results and errors.", **common)(function)
    return click.option("-v", "--verbose", help="Say more; show tracebacks.", **common)(function)


def output(function: F) -> F:
    """`--json`, handed over as `as_json`, `-v` and `-q`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(verbosity(function))
