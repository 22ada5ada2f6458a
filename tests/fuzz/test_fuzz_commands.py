"""Bad command lines: every command with options and values that nobody meant ends in a clear error, and does no work."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import JUNK, fuzz, junk, run_command, well_told

from pcdarts_tune.cli import group as cli
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings

NOWHERE = "/nowhere/at/all"
DATA = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}
SMALL = {
    "--threads": "1",
    "--batch": "2",
    "--channels": "2",
    "--layers": "3",
    "--k": "1",
    "--repeats": "1",
    "--seconds": "0.01",
}

GUARDS: dict[str, list[list[str]]] = {
    # what comes last counts: no images, so that nothing is trained
    "sweep": [["--data", NOWHERE]],
    "search": [["--data", NOWHERE]],
    "retrain": [["--data", NOWHERE, "-o", "model"]],
    "resume": [["--data", NOWHERE]],
    "extend": [["--data", NOWHERE, "--trials", "+1"], ["--data", NOWHERE]],
    "promote": [["--data", NOWHERE]],
    "bench": [["--repeats", "0"], [word for pair in SMALL.items() for word in pair]],
    # a server is for other tests to start
    "ui": [["--port", "-1"], ["--tracking-uri", "http://127.0.0.1:1", "--no-browser"]],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory whose home has a sweep that nobody ran."""
    place = tmp_path_factory.mktemp("place")
    tune: Any = {"supernet.k": {"type": "categorical", "choices": [1, 2]}}
    create_sweep(place / "home", "made", Space(name="table", tune=tune), SweepSettings(), trials=2, data=DATA)
    return place


def command(name: str) -> click.Command:
    found = importlib.import_module(cli.module_of(name)).command
    assert isinstance(found, click.Command)
    return found


def legal(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """What a parameter takes, as far as its type says."""
    kind: Any = parameter.type
    if isinstance(kind, click.Choice):
        return st.sampled_from([str(choice) for choice in kind.choices])
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        return st.integers(0, 9).map(str)
    return st.sampled_from(JUNK)


@st.composite
def command_lines(draw: Callable[..., Any]) -> list[str]:
    name = draw(st.sampled_from(cli.NAMES))
    parameters = command(name).params
    # -v asks for tracebacks, and --ray for Ray
    options = [
        one for one in parameters if isinstance(one, click.Option) and one.name not in ("verbose", "ray")
    ]
    words = [name]
    for _ in range(draw(st.integers(0, 4))):
        option = draw(st.sampled_from(options))
        spelt = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
        if draw(st.integers(0, 15)) == 0:
            spelt = draw(junk)
        words.append(spelt)
        if not option.is_flag and not option.count:
            words.append(draw(st.one_of(legal(option), junk)))
    for parameter in parameters:
        if isinstance(parameter, click.Argument) and draw(st.integers(0, 9)):
            words += draw(st.lists(junk, min_size=1, max_size=2 if parameter.nargs == -1 else 1))
    # an argument may look like an option, which is one of the mistakes people make
    return [*words, "--home", "home", *draw(st.sampled_from(GUARDS.get(name, [[]])))]


@fuzz(180)
@given(words=command_lines())
def test_any_command_line_is_answered(place: Path, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "caches"))
        said = run_command(words)
    well_told(said)
