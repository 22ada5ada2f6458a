"""Completion: the scripts in the shells there are, and what click's protocol answers; nothing heavy is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from pcdarts_tune.cli import group as cli
from pcdarts_tune.files import write_json
from pcdarts_tune.home import default_tracking_uri

SHELLS = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]
HEAVY = (
    "torch",
    "ray",
    "mlflow",
    "optuna",
    "torchvision",
    "numpy",
    "sklearn",
    "matplotlib",
    "rich",
    "sqlalchemy",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two sweeps by name, and a model of two versions in a real MLflow store."""
    home = tmp_path_factory.mktemp("completed") / "home"
    for name in ("first", "flowers"):
        write_json(home / "sweeps" / name / "sweep.json", {"format": 1})
    client = mlflow.MlflowClient(default_tracking_uri(home), default_tracking_uri(home))
    client.create_registered_model("first")
    for _ in range(2):
        client.create_model_version("first", "s3://somewhere/model")
    client.set_registered_model_alias("first", "champion", "2")
    return home


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `pcdarts-tune` is this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "pcdarts-tune"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pcdarts_tune "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def answers(words: str, home: Path) -> list[str]:
    """What bash would be offered for the last word."""
    at = len(words.split(" ")) - 1
    code = (
        "import sys\nfrom pcdarts_tune import cli\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\nassert not found, found\n"
    )
    environment = {
        **os.environ,
        "_PCDARTS_TUNE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(at),
        "PCDARTS_TUNE_HOME": str(home),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pcdarts-tune pro", ["plain,promote"]),
        ("pcdarts-tune promote f", ["plain,first", "plain,flowers"]),
        ("pcdarts-tune status fl", ["plain,flowers"]),
        ("pcdarts-tune sweep --space quick", ["plain,quickstart"]),
        ("pcdarts-tune sweep --set search.epo", ["plain,search.epochs="]),
        ("pcdarts-tune retrain PC_DARTS_c", ["plain,PC_DARTS_cifar"]),
        ("pcdarts-tune draw genotype.j", ["file,genotype.j"]),
        ("pcdarts-tune predict fir", ["plain,first"]),
        ("pcdarts-tune show first@", ["plain,first@champion"]),
        ("pcdarts-tune completion z", ["plain,zsh"]),
    ],
)
def test_names_are_completed(words: str, offered: list[str], home: Path) -> None:
    assert answers(words, home) == offered


def test_versions_are_completed_once_the_model_is_named(home: Path) -> None:
    assert answers("pcdarts-tune predict first", home) == [
        "plain,first", "plain,first@champion", "plain,first/1", "plain,first/2",
    ]  # fmt: skip
    assert answers("pcdarts-tune rollback nothing", home) == ["dir,nothing"]


def test_sections_come_before_their_keys(home: Path) -> None:
    offered = answers("pcdarts-tune sweep --set s", home)
    assert {"plain,search.", "plain,supernet.", "plain,seed="} <= set(offered)
    assert not any(item.count(".") > 1 for item in offered)


def test_an_empty_home_completes_nothing(tmp_path: Path) -> None:
    assert answers("pcdarts-tune promote ", tmp_path / "home") == []
    assert answers("pcdarts-tune rollback m", tmp_path / "home") == ["dir,m"]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_works_in_the_shell(shell: str, home: Path, path: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["pcdarts-tune", "completion", shell],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "to keep it" in done.stderr
    script = tmp_path / "script"
    script.write_text(done.stdout)
    ask = {
        # what bash does when a tab is pressed: the words, the place, the function
        "bash": f"source {script}; complete -p pcdarts-tune; COMP_WORDS=(pcdarts-tune promote fl) COMP_CWORD=2; "
        "_pcdarts_tune_completion pcdarts-tune fl promote; printf '%s\\n' \"${COMPREPLY[@]}\"",
        # the completion widget's variables and its builtin, which exists only while a line is edited
        "zsh": f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump; source {script}; "
        "print ${_comps[pcdarts-tune]}; compadd() { print -l -- ${(P)argv[-1]} }; "
        "words=(pcdarts-tune promote fl) CURRENT=3; _pcdarts_tune_completion",
        "fish": f"source {script}; complete -C 'pcdarts-tune promote fl'",
    }[shell]
    answer = subprocess.run(
        [shell, "-c", ask],
        env={**os.environ, "PATH": path, "PCDARTS_TUNE_HOME": str(home), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert "flowers" in answer.stdout.split()
    assert shell == "fish" or "_pcdarts_tune_completion" in answer.stdout


def test_the_shell_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert cli.run(["completion"]) == 0
    assert "#compdef pcdarts-tune" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/csh")
    assert cli.run(["completion"]) == 2
    assert "give one of bash, zsh, fish" in capsys.readouterr().err
    assert cli.run(["completion", "bsah"]) == 2
    assert "did you mean 'bash'?" in capsys.readouterr().err
