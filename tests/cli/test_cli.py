"""The command line as a person meets it: help, mistakes, exit codes."""

from __future__ import annotations

import ast
import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cli.group import explain
from pcdarts_tune.core.steps.meter import NonFiniteLoss
from pcdarts_tune.errors import UserError, WorkFailed

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "ray",
    "mlflow",
    "optuna",
    "torchvision",
    "numpy",
    "pydantic",
    "sklearn",
    "matplotlib",
    "rich",
)


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pcdarts_tune", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_help_lists_every_subcommand_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pcdarts_tune.cli.group import run\nassert run(['--help']) == 0\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    for name in cli.NAMES:
        assert f"  {name} " in result.stdout


@pytest.mark.parametrize("name", cli.NAMES)
def test_subcommand_help_has_an_example_and_imports_nothing_heavy(name: str) -> None:
    code = (
        f"import sys\nfrom pcdarts_tune.cli.group import run\nassert run([{name!r}, '--help']) == 0\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert f"pcdarts-tune {name}" in result.stdout.split("Example", 1)[1]


@pytest.mark.parametrize("name", cli.NAMES)
def test_module_of_a_subcommand_is_what_the_table_says(name: str) -> None:
    command = importlib.import_module(cli.module_of(name)).command
    assert isinstance(command, click.Command)
    assert command.name == name
    legal = {option for parameter in command.params for option in parameter.opts}
    assert {"--verbose", "--quiet"} <= legal, "every command takes -v and -q"


def test_every_command_module_is_in_the_table() -> None:
    folder = CHECKOUT / "pcdarts_tune" / "cli" / "commands"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {name for name in modules if not name.startswith("_")} == set(cli.NAMES)


def test_launcher_of_the_checkout() -> None:
    result = subprocess.run(
        [sys.executable, "cli.py", "--help"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "Usage: pcdarts-tune" in result.stdout


def test_no_arguments_is_a_usage_error_that_shows_help() -> None:
    result = program()
    assert result.returncode == 2
    assert "Sweeps:" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swep"], "did you mean 'sweep'?"),
        (["leaderbord", "x"], "did you mean 'leaderboard'?"),
        (["xyzzy"], "commands: sweep,"),
        (["draw", "PC_DARTS_cifar", "--otput", "x.svg"], "--output"),
        (["draw", "PC_DARTS_cifar", "-o", "x.svg", "--cell", "nrmal"], "did you mean 'normal'?"),
        (["draw", "PC_DARTS_cifar"], "Missing option '-o'"),
        (["search", "--device", "cdua"], "did you mean 'cuda'?"),
        (["search", "--seed", "-1"], "--seed"),
        (["predict"], "Missing argument 'MODEL'"),
        (["ui", "--port", "99999"], "--port"),
    ],
)
def test_usage_errors_name_what_is_legal(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pcdarts-tune ")


def test_completion_knows_commands_and_options() -> None:
    def complete(words: str, at: int) -> str:
        environment = {"_PCDARTS_TUNE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return program(**environment).stdout

    assert "plain,search" in complete("pcdarts-tune se", 1)
    assert "plain,--space" in complete("pcdarts-tune search --sp", 2)


def raised_in_core() -> None:
    from pcdarts_tune.core.genotype import Genotype

    Genotype.from_dict({})


def raised_by_a_library() -> None:
    int("four")


def fail_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def caught(function: Callable[[], None]) -> BaseException:
    try:
        function()
    except BaseException as error:  # KeyboardInterrupt too
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        (
            fail_with(UserError("no such thing", hint="another thing")),
            2,
            "Error: no such thing\nHint: another thing\n",
        ),
        (fail_with(WorkFailed("all trials failed")), 1, "Error: all trials failed\n"),
        (raised_in_core, 2, "Error: a genotype has the fields"),
        (fail_with(KeyboardInterrupt()), 130, "Interrupted."),
        (fail_with(click.UsageError("wrong")), 2, "wrong"),
        (fail_with(PermissionError(13, "Permission denied", "there")), 1, "Permission denied: 'there'"),
        (raised_by_a_library, 1, "Error: ValueError: invalid literal"),
    ],
)
def test_failures_are_told_in_a_few_words(
    function: Callable[[], None], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(caught(function)) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_every_error_says_what_to_try() -> None:
    without = []
    for file in sorted((CHECKOUT / "pcdarts_tune").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            told = made and any(keyword.arg == "hint" for keyword in node.keywords)
            if made and not told and node.func.id in ("UserError", "WorkFailed"):
                without.append(f"{file.relative_to(CHECKOUT)}:{node.lineno}")
    assert without == [], "errors that leave a person without a next step"


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "read-only"), (errno.EIO, "pcdarts-tune doctor")],
)
def test_errors_of_the_system_say_what_to_try(
    number: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(OSError(number, os.strerror(number), "there")) == 1
    assert said in capsys.readouterr().err


def test_divergence_is_work_that_failed() -> None:
    assert issubclass(NonFiniteLoss, ArithmeticError)


def test_traceback_of_an_unexpected_failure_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert explain(caught(raised_by_a_library)) == 1
    (log,) = tmp_path.glob("pcdarts-tune-*.log")
    assert str(log) in capsys.readouterr().err
    assert "raised_by_a_library" in log.read_text()


def test_verbose_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(caught(raised_by_a_library), verbose=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_reader_that_went_away_is_no_failure_worth_a_word() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pcdarts_tune", "spaces", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
    assert said == ""
    assert process.returncode == 1
